/** The step that runs a model on images and records the statistics from which ranges of activations are chosen. */

import { listOf, type OptionSchemas, optional, text, truth } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { InputError } from '../base/errors.ts';
import { stateBeside } from '../base/write-place.ts';
import type { Phrases } from '../data/phrases.ts';
import { UnreadableImage } from '../detect/calibration-feeds.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import { observableValues } from '../quant/observable-values.ts';
import {
  type Calibration,
  mergeCalibrations,
  readStatistics,
  type Shard,
  writeStatistics,
} from '../quant/observe/statistics-file.ts';
import { type TextDependence, textDependence } from '../quant/observe/text-dependence.ts';
import { valuesToObserve } from '../quant/plan.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { calibrateDataset, removeKept } from './calibrate-dataset.ts';
import { checkFinished } from './finished-calibration.ts';
import {
  countSchema,
  datasetSchemas,
  inputSchema,
  modelSchema,
  overwriteSchemas,
  phrasesSchema,
  picturesSchema,
  recipeSchema,
  seedSchema,
  shardSchema,
  threadSchemas,
  workSchemas,
} from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type InputSource, openInputs, type PictureOptions } from './samples.ts';
import { type AnyModelSource, type DatasetOptions, openAnyModel, openRecipe, type RecipeSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Options of `calibrate`. */
export interface CalibrateOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The images; each gets a prompt of its own from the categories, without boxes. Of other models: arrays or pictures. */
  readonly dataset: InputSource;
  /** How pictures become the input, for a model that is no detector of dino8. */
  readonly pictures?: PictureOptions | undefined;
  /** The statistics file to write. An interrupted calibration keeps its state in `OUTPUT.partial` and continues there. */
  readonly output: string;
  /** The number of images, chosen at random, or of the first inputs; 500 by default, or all if there are fewer. */
  readonly images?: number | undefined;
  /** The seed of the random choice of images and prompts; 0 by default. */
  readonly seed?: number | undefined;
  /** Observes only the values that this recipe needs; by default those that any recipe but `full` may need. */
  readonly recipe?: RecipeSource | undefined;
  /** Observes every value that any recipe may need, sums and heads of attention included. */
  readonly everything?: boolean | undefined;
  /** Does one part of the calibration, numbered from 1, for instance on one of several machines. */
  readonly shard?: Shard | undefined;
  /** Phrases for the prompts, in place of labels: `dataset` is then a folder of pictures without any. */
  readonly phrases?: Phrases | undefined;
}

/** The defaults of `CalibrateOptions`. */
export const CALIBRATE_DEFAULTS: Defaults<CalibrateOptions, 'images' | 'seed'> = { images: 500, seed: 0 };

const schemas: OptionSchemas<CalibrateOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  dataset: inputSchema,
  pictures: picturesSchema,
  output: text,
  images: countSchema,
  seed: seedSchema,
  recipe: recipeSchema,
  everything: optional(truth),
  shard: shardSchema,
  phrases: phrasesSchema,
};

/** How much the range of a value changes with the length of the prompt. */
export interface ValueDependence extends TextDependence {
  /** The name of the value. */
  readonly value: string;
}

/** The result of `calibrate` and `mergeStatistics`. */
export interface CalibrateResult {
  /** The statistics file. */
  readonly output: string;
  /** The number of images that were observed or skipped. */
  readonly images: number;
  /** The images that could not be read. */
  readonly skipped: readonly string[];
  /** The number of values with statistics. */
  readonly values: number;
  /** The dependence of each value on the prompt, the strongest first. */
  readonly textDependence: readonly ValueDependence[];
}

/**
 * Observes a model on images with prompts and writes the statistics.
 *
 * @throws UsageError if there are fewer images than asked for; InputError if an image cannot be read, or if the state of an
 * interrupted calibration belongs to another one
 * @example
 * await calibrate({ model: 'tiny.onnx', dataset: 'coco/val2017', output: 'statistics.json', images: 200 });
 */
export async function calibrate(options: CalibrateOptions): Promise<CalibrateResult> {
  return runStep('calibrate', schemas, options, async () => {
    const { output, seed = CALIBRATE_DEFAULTS.seed } = options;
    await checkStepFiles({
      outputs: [output],
      models: [options.model],
      tokenizer: options.tokenizer,
      data: [options.dataset],
      recipe: options.recipe,
      overwrite: options.overwrite,
    });
    const source = await openAnyModel(options.model, options);
    const { images: count = CALIBRATE_DEFAULTS.images, pictures } = options;
    const isExact = options.images !== undefined;
    const { onProgress, signal, shard, skipUnreadable, onLeftOut, onNotice, phrases, threads } = options;
    const checks = { onProgress, signal, skipUnreadable, onLeftOut, onNotice };
    const choice = { ...checks, count, isExact, seed, pictures, phrases, keepUnreadable: true };
    const plan = await openInputs(source, options.dataset, choice);
    const values =
      options.recipe === undefined
        ? observableValues(source.model, options.everything || undefined)
        : valuesToObserve(source.model, await openRecipe(options.recipe, options.onNotice));
    const partial = await stateBeside(output, PARTIAL);
    const work = { onProgress, signal, shard, partial, skipUnreadable, onLeftOut, threads };
    const calibration = await calibrateDataset(source, values, plan, work).catch((error: unknown) => {
      if (!(error instanceof UnreadableImage)) throw error;
      throw new InputError(`${error.message} Set \`skipUnreadable\` to leave such images out.`, { cause: error });
    });
    return store(calibration, output);
  });
}

/** Options of `mergeStatistics`. */
export interface MergeStatisticsOptions extends OverwriteOptions {
  /** The statistics files of all parts of one calibration, in any order. */
  readonly parts: readonly string[];
  /** The statistics file to write. */
  readonly output: string;
  /** Called with one sentence for each thing that the caller should know and that is no error. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

const mergeSchemas: OptionSchemas<MergeStatisticsOptions> = {
  ...overwriteSchemas,
  parts: listOf('a list of paths', text),
  output: text,
  onNotice: workSchemas.onNotice,
};

/**
 * Joins the parts of one calibration. The result equals that of one run to the bit.
 *
 * @throws UsageError if parts are missing, doubled, or of different calibrations; InputError if one is of an interrupted calibration
 * @example
 * await mergeStatistics({ parts: ['part1.json', 'part2.json'], output: 'statistics.json' });
 */
export async function mergeStatistics(options: MergeStatisticsOptions): Promise<CalibrateResult> {
  return runStep('mergeStatistics', mergeSchemas, options, async () => {
    const { parts, output, onNotice, overwrite } = options;
    await checkStepFiles({ outputs: [output], statistics: parts, overwrite });
    const read = [];
    for (const path of parts) {
      const part = await readStatistics(path, { onNotice });
      checkFinished(part, path);
      read.push({ ...part, path });
    }
    return store(mergeCalibrations(read), output);
  });
}

const PARTIAL = '.partial';

async function store(calibration: Calibration, output: string): Promise<CalibrateResult> {
  await writeStatistics(calibration, output);
  await removeKept(`${output}${PARTIAL}`);
  const { statistics, done, skipped } = calibration;
  const dependence = [...statistics]
    .map(([value, statistic]) => ({ value, ...textDependence(statistic) }))
    .toSorted((a, b) => b.factor - a.factor);
  return { output, images: done, skipped, values: statistics.size, textDependence: dependence };
}
