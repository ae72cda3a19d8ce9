/** A model, a planned recipe and the images to judge by, with which the steps that judge parts of a model begin. */
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import { type AccuracyMeasure, detectionAccuracy } from '../evaluate/accuracy.ts';
import type { LoadedModel } from '../models/family.ts';
import { isPackage, type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import { planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { observeFor } from './apply-recipe.ts';
import { type CalibrationOptions, resolveCalibration } from './calibration-options.ts';
import { GENERIC_RECIPE } from './default-recipe.ts';
import {
  calibrationSchemas,
  countSchema,
  inputSchema,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  recipeSchema,
  threadSchemas,
} from './option-schemas.ts';
import { type InputSource, openLabelledInputs } from './samples.ts';
import { type AnyModelSource, openAnyModel, openRecipe, type RecipeSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** The options of a step that judges parts of a model, as far as `openJudgedModel` reads them. */
interface JudgingOptions extends WorkOptions, ReadOptions, CalibrationOptions, OverwriteOptions {
  readonly model: AnyModelSource;
  readonly dataset: InputSource;
  readonly recipe?: RecipeSource | undefined;
  readonly output?: string | undefined;
  readonly report?: string | undefined;
}

/** What the options of a step that judges parts of a model must be, as far as all of them have them. */
export const judgingSchemas = {
  ...readSchemas,
  ...calibrationSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  dataset: inputSchema,
  recipe: recipeSchema,
  images: countSchema,
  output: optionalPath,
  report: optionalPath,
};

/** A model with what its parts are judged by. */
export interface JudgedModel {
  readonly source: LoadedModel;
  /** The plan of the recipe, with its ranges. */
  readonly plan: QuantizationPlan;
  readonly statistics: Statistics;
  /** The labelled images of a detector. */
  readonly dataset: CocoDataset | undefined;
  /** The inputs on which outputs are compared. */
  readonly samples: SampleSource;
}

/**
 * Opens a model and what its parts are judged by, and calibrates it if the recipe needs that.
 *
 * @param images the number of images or other inputs
 * @param standard the name of the recipe of a detector, if the options name none
 */
export async function openJudgedModel(options: JudgingOptions, images: number, standard: string): Promise<JudgedModel> {
  const { output, report, pictures, onProgress, onNotice, signal, skipUnreadable, onLeftOut } = options;
  await checkStepFiles({
    outputs: [output, report],
    models: [options.model],
    tokenizer: options.tokenizer,
    data: [options.dataset, options.calibration],
    recipe: options.recipe,
    statistics: [options.statistics],
    overwrite: options.overwrite,
  });
  const source = await openAnyModel(options.model, options);
  const name = isPackage(source) ? standard : GENERIC_RECIPE;
  const recipe = await openRecipe(options.recipe ?? name, onNotice);
  const reading = { onProgress, signal, skipUnreadable, onLeftOut, onNotice, count: images, pictures };
  const { dataset, samples } = await openLabelledInputs(source, options.dataset, reading);
  const calibration = await resolveCalibration(source, options);
  const planned = planQuantization(source.model, recipe);
  const statistics = await observeFor(source, planned, { onProgress, signal, ...calibration });
  const plan = resolveRanges(planned, { statistics });
  for (const sentence of plan.notices) onNotice?.(sentence);
  return { source, plan, statistics, dataset, samples };
}

/** Measures average precision on the labelled images of a detector; undefined for another model. */
export async function accuracyOf(
  { source, dataset }: JudgedModel,
  work: Pick<WorkOptions, 'onProgress' | 'signal'>,
): Promise<AccuracyMeasure | undefined> {
  return dataset && isPackage(source) ? await detectionAccuracy(source, dataset, work) : undefined;
}
