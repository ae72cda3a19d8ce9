/** The step that trains a checkpoint with quantization in place: quantization-aware training. */
import { join } from 'node:path';
import { type OptionSchemas, text } from '../base/check-options.ts';
import { sizeOf } from '../base/files.ts';
import { buildPackage, writePackage } from '../models/package/package.ts';
import { DEFAULT_RECIPE } from '../quant/recipe.ts';
import { type CalibrationOptions, resolveCalibration } from './calibration-options.ts';
import type { WrittenModel } from './convert-step.ts';
import { calibrationSchemas, datasetSchema, recipeSchema } from './option-schemas.ts';
import { planQuantizedTraining } from './plan-quantized-training.ts';
import { runStep } from './run-step.ts';
import { type DatasetSource, openCheckpoint, openRecipe, type RecipeSource } from './sources.ts';
import { checkStepFiles } from './step-files.ts';
import { openTrainingData } from './training-data.ts';
import {
  checkUnused,
  runPreparedTraining,
  type TrainingResult,
  type TrainingStepOptions,
  trainingStepSchemas,
} from './training-options.ts';

/** Options of `qat`. */
export type QatOptions = TrainingStepOptions &
  CalibrationOptions & {
    /** The path of the checkpoint: a Hugging Face folder, or one file of weights (PyTorch or safetensors) with the tokenizer beside it. */
    readonly checkpoint: string;
    /** The images; their boxes are needed unless `labels` is 0. The categories are the phrases. */
    readonly dataset: DatasetSource;
    /** The INT8 model to write. While it trains, the folder `OUTPUT.training` holds the state and the log. */
    readonly output: string;
    /** The recipe, whose techniques are left out because training takes their place; `mixed` by default. */
    readonly recipe?: RecipeSource | undefined;
  };

const schemas: OptionSchemas<QatOptions> = {
  ...trainingStepSchemas,
  ...calibrationSchemas,
  checkpoint: text,
  dataset: datasetSchema,
  output: text,
  recipe: recipeSchema,
};

/** The result of `qat`. */
export interface QatResult extends TrainingResult, WrittenModel {
  /** The name of the recipe. */
  readonly recipe: string;
}

/**
 * Trains a checkpoint with the rounding of a recipe in place, and writes the INT8 model. An interrupted training continues
 * where it was when it is called again with the same options.
 *
 * @throws UsageError if an option is out of range, or if the recipe needs calibration and neither `statistics` nor
 * `calibration` is given; InputError if the state belongs to another training
 * @example
 * await qat({
 *   checkpoint: 'grounding-dino-tiny/', dataset: 'coco/train2017', calibration: 'coco/train2017', recipe: 'full',
 *   output: 'tiny.qat.onnx', steps: 1000,
 * });
 */
export async function qat(options: QatOptions): Promise<QatResult> {
  return runStep('qat', schemas, options, async () => {
    const { checkpoint, dataset: data, output, recipe: asked = DEFAULT_RECIPE, ...others } = options;
    const { statistics, calibration, calibrationImages, calibrationPhrases, onNotice, ...training } = others;
    const { onProgress, signal, seed } = training;
    checkUnused(options);
    await checkStepFiles({
      outputs: [training.report],
      modelOutput: output,
      models: [checkpoint],
      tokenizer: training.tokenizer,
      data: [data, training.validate, calibration],
      recipe: asked,
      statistics: [statistics],
      overwrite: training.overwrite,
    });
    const source = await openCheckpoint(checkpoint, options);
    const recipe = await openRecipe(asked, onNotice);
    const float = await buildPackage(source);
    const resolved = await resolveCalibration(float, {
      statistics,
      calibration,
      calibrationImages,
      calibrationPhrases,
      seed,
      onNotice,
      onProgress,
      signal,
      skipUnreadable: training.skipUnreadable,
      onLeftOut: training.onLeftOut,
    });
    const quantized = await planQuantizedTraining(float, recipe, { onProgress, signal, ...resolved });
    for (const sentence of quantized.plan.notices) onNotice?.(sentence);
    const result = await runPreparedTraining({
      kind: 'qat',
      source,
      dataset: await openTrainingData(source, data, { ...training, onNotice }),
      directory: `${output}.training`,
      options: { ...training, onNotice },
      quantized,
      output,
      pathOf: (name) => join(`${output}.training`, `${name}.onnx`),
      write: async (trained, path) => writePackage(await trained.package('averages'), path),
    });
    return { output, bytes: await sizeOf(output), recipe: recipe.name, ...result };
  });
}
