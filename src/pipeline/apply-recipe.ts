/** Applies a recipe to a model: every operation that a recipe may ask for, in order. */

import { callback, checkOptions, checkValue, type OptionSchemas, objectWith, optional } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';
import { checkLoadedArgument, type LoadedModel } from '../models/family.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import { planQuantization, type QuantizationPlan } from '../quant/plan.ts';
import { storePlanSummary, summarizePlan } from '../quant/plan-summary.ts';
import { type Quantized, type QuantizeOptions, quantizeModel } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { prepareModel, valuesToPrepare, withoutPreparation } from '../quant/techniques/prepare.ts';
import { roundModel, roundsModel } from '../quant/techniques/round-model.ts';
import { calibrateDataset } from './calibrate-dataset.ts';
import { targetSchema, workSchemas } from './option-schemas.ts';
import { samplesOf } from './samples.ts';

/** Where statistics come from. */
export interface ObserveOptions extends WorkOptions {
  /** The images or samples to calibrate on; needed unless `statistics` has all values that the recipe needs. */
  readonly plan?: CalibrationPlan | SampleSource | undefined;
  /** Statistics of an earlier calibration of the model. */
  readonly statistics?: Statistics | undefined;
}

/** Options of `applyRecipe`. */
export interface ApplyOptions extends ObserveOptions {
  /** The target, or its name; ONNX Runtime on CPUs by default. */
  readonly target?: QuantizeOptions['target'];
  /** The plan of the model by the recipe, if it is known. It is made here for a recipe that changes weights first. */
  readonly quantization?: QuantizationPlan | undefined;
  /** Called with each optional technique that is left out because there are no images. */
  readonly onLeftOut?: ((technique: string) => void) | undefined;
}

/**
 * The statistics that a plan needs: `statistics` if they are complete or there are no images, else those of the images.
 *
 * @throws UsageError if neither is given and the plan needs some
 */
export async function observeFor(
  source: LoadedModel,
  { valuesToObserve, recipe }: QuantizationPlan,
  options: ObserveOptions,
): Promise<Statistics> {
  return observeValues(source, valuesToObserve, recipe, options);
}

/** The statistics of `values`: `statistics` if they are complete or there are no images, else those of the images. */
async function observeValues(
  source: LoadedModel,
  values: readonly string[],
  recipe: Recipe,
  { plan, statistics, ...work }: ObserveOptions,
): Promise<Statistics> {
  const isUsable = statistics !== undefined && (!plan || values.every((value) => statistics.has(value)));
  return isUsable ? statistics : observe(source, values, recipe, plan, work);
}

async function observe(
  source: LoadedModel,
  values: readonly string[],
  recipe: Recipe,
  plan: ObserveOptions['plan'],
  work: WorkOptions,
): Promise<Statistics> {
  if (values.length === 0) return new Map();
  if (plan) return (await calibrateDataset(source, values, plan, work)).statistics;
  throw new UsageError(
    `The recipe ${recipe.name} needs images to calibrate on; give them with \`calibration\`, or a statistics file with \`statistics\`.`,
  );
}

const applySchemas: OptionSchemas<ApplyOptions> = {
  ...workSchemas,
  plan: optional(objectWith('what `planCalibration` returned, or samples', 'key')),
  statistics: optional(objectWith('a map of statistics', 'get', 'has')),
  target: targetSchema,
  quantization: optional(objectWith('what `planQuantization` returned', 'entries', 'recipe')),
  onLeftOut: optional(callback),
};

/**
 * Prepares, calibrates, rounds and quantizes a model as its recipe says.
 *
 * @throws UsageError if the recipe needs images or statistics that were not given
 * @example
 * const { model: quantized } = await applyRecipe(source, await readRecipe('mixed'), { plan: planCalibration(dataset, 64, 0) });
 * await writePackage({ ...source, model: quantized }, 'tiny.int8.onnx');
 */
export async function applyRecipe(source: LoadedModel, asked: Recipe, options: ApplyOptions = {}): Promise<Quantized> {
  checkLoadedArgument(source);
  checkValue('The recipe', objectWith('what `readRecipe` returned', 'rules', 'techniques'), asked);
  checkOptions('applyRecipe', applySchemas, options);
  const { plan, statistics, onLeftOut, target, quantization: known, ...work } = options;
  const recipe = plan ? asked : withoutOptional(asked, onLeftOut);
  const prepared = await prepare(source, recipe, { plan, statistics, ...work });
  const quantization =
    known && prepared === source && recipe === asked
      ? known
      : planQuantization(prepared.model, withoutPreparation(recipe), { target });
  const { valuesToObserve } = quantization;
  if (prepared !== source && !plan && valuesToObserve.length > 0)
    throw new UsageError(
      `The recipe ${recipe.name} changes weights before ranges are found, so that statistics of the model as it is do not fit; give images with \`calibration\`.`,
    );
  // Statistics of the model as it was do not fit one whose weights were changed.
  const fitting = prepared === source ? statistics : undefined;
  const observed = await observeValues(prepared, valuesToObserve, recipe, { plan, statistics: fitting, ...work });
  if (!plan && roundsModel(recipe))
    throw new UsageError(
      `The recipe ${recipe.name} rounds weights by the inputs of their layers; give images with \`calibration\`.`,
    );
  const rounded =
    plan && roundsModel(recipe)
      ? await roundModel(prepared.model, quantization, samplesOf(prepared, plan), work)
      : undefined;
  const quantized = await quantizeModel(prepared.model, quantization, { statistics: observed, rounded });
  // The recipe of the plan lacks the techniques that were applied before it was made.
  const techniques = recipe.techniques.map(({ technique }) => technique);
  storePlanSummary(quantized.model, summarizePlan(quantized.plan, techniques));
  return quantized;
}

/** The same source if the recipe changes no weights. */
async function prepare(
  source: LoadedModel,
  recipe: Recipe,
  { plan, statistics, ...work }: ApplyOptions,
): Promise<LoadedModel> {
  if (withoutPreparation(recipe) === recipe) return source;
  const values = valuesToPrepare(source.model, recipe);
  const known = await observeValues(source, values, recipe, { plan, statistics, ...work });
  return { ...source, model: await prepareModel(source.model, recipe, known) };
}

function withoutOptional(recipe: Recipe, onLeftOut: ApplyOptions['onLeftOut']): Recipe {
  const isLeftOut = (each: Recipe['techniques'][number]) => 'optional' in each && each.optional;
  for (const each of recipe.techniques.filter(isLeftOut)) onLeftOut?.(each.technique);
  return { ...recipe, techniques: recipe.techniques.filter((each) => !isLeftOut(each)) };
}
