/** The options of `compress` with their defaults, and its result. */

import { basename, join, resolve } from 'node:path';
import { z } from 'zod';
import {
  checkOptions,
  listOf,
  type OptionSchemas,
  objectWith,
  optional,
  text,
  truth,
  wholeNumber,
} from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import type { Detection } from '../detect/base-detector.ts';
import type { ActivationRanges } from '../evaluate/activation-ranges.ts';
import type { ChangedCount } from '../evaluate/errors/found-objects.ts';
import type { Inspection } from '../evaluate/inspect.ts';
import { DEFAULT_ALLOWED_DROP, type Recommendation } from '../evaluate/recommendation.ts';
import type { OutputFigure } from '../models/family.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { Provenance } from '../report/provenance.ts';
import type { PublishedSize } from '../report/published-size.ts';
import type { Variant } from '../report/variants.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { type TrainingOptions, trainingSchemas } from '../train/training-settings.ts';
import { CALIBRATION_DEFAULTS } from './calibration-options.ts';
import { MEASURE_DEFAULTS, MOST_RUNS } from './measure-step.ts';
import {
  allowedDropSchema,
  countSchema,
  datasetFilesSchema,
  datasetSchemas,
  optionalPath,
  overwriteSchemas,
  seedSchema,
  threadSchemas,
} from './option-schemas.ts';

import type { CategoryScore } from './score-step.ts';
import type { DatasetFiles, DatasetOptions } from './sources.ts';
import { checkFraction } from './split-dataset.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Quantization-aware training as a part of `compress`. */
export interface CompressTraining extends TrainingOptions {
  /** The recipe that is trained; `full` by default. */
  readonly recipe?: string | undefined;
}

/** Options of `compress`. */
export interface CompressOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The path of the checkpoint: a Hugging Face folder, or one file of weights (PyTorch or safetensors) with the tokenizer beside it. */
  readonly checkpoint: string;
  /** The labelled images on which the models are scored: the path of a data set, with or without options. */
  readonly dataset: string | DatasetFiles;
  /** The folder to write: the models, `report.html`, `results.json`, and the state of the work. */
  readonly output: string;
  /** The recipes to compare, by name or path; `dynamic`, `mixed` and `full` by default. */
  readonly recipes?: readonly string[] | undefined;
  /**
   * Another data set to calibrate and train on. By default a part of the data set is set aside for that, on which nothing is
   * scored.
   */
  readonly calibration?: string | DatasetFiles | undefined;
  /** The fraction of the data set to set aside, between 0 and 1; 0.2 by default. */
  readonly setAside?: number | undefined;
  /** The number of images to calibrate on; 64 by default, or all if there are fewer. */
  readonly calibrationImages?: number | undefined;
  /** Scores on the first images that were not set aside, this many; 500 by default. */
  readonly images?: number | undefined;
  /** The seed of the split, of the calibration and of the training; 0 by default. */
  readonly seed?: number | undefined;
  /** Trains one more model with quantization in place. */
  readonly qat?: CompressTraining | undefined;
  /** The number of timed runs in each of the three processes in which a model is measured; 20 by default. */
  readonly runs?: number | undefined;
  /** The points of AP that a variant may lose to be recommended by the report; 0.5 by default, as for `tune`. */
  readonly allowedDrop?: number | undefined;
  /** The HTML file of the report; `report.html` in `output` by default. */
  readonly report?: string | undefined;
  /** The title of the report. */
  readonly title?: string | undefined;
  /** The command that started this, which the report shows to those who want to repeat it. */
  readonly command?: string | undefined;
  /** Forgets what an earlier call did in `output`, and does everything again. */
  readonly fresh?: boolean | undefined;
}

/** What `CompressOptions` must be. */
export const compressSchemas: OptionSchemas<CompressOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  checkpoint: text,
  dataset: datasetFilesSchema,
  output: text,
  recipes: optional(listOf('a list of recipes', text)),
  calibration: optional(datasetFilesSchema),
  setAside: optional(z.number({ error: 'a number between 0 and 1' })),
  calibrationImages: countSchema,
  images: countSchema,
  seed: seedSchema,
  qat: optional(objectWith('an object with the options of the training')),
  runs: optional(wholeNumber(1, MOST_RUNS)),
  allowedDrop: allowedDropSchema,
  report: optionalPath,
  title: optional(text),
  command: optional(text),
  fresh: optional(truth),
};

const qatSchemas: OptionSchemas<CompressTraining> = { ...trainingSchemas, recipe: optional(text) };

/** The defaults of `CompressOptions`. */
export const COMPRESS_DEFAULTS: Defaults<
  CompressOptions,
  'calibrationImages' | 'images' | 'recipes' | 'seed' | 'setAside' | 'runs' | 'allowedDrop'
> & {
  /** The recipe of `qat`. */
  readonly qatRecipe: string;
} = {
  recipes: ['dynamic', 'mixed', 'full'],
  setAside: 0.2,
  calibrationImages: CALIBRATION_DEFAULTS.calibrationImages,
  images: 500,
  seed: CALIBRATION_DEFAULTS.seed,
  qatRecipe: 'full',
  runs: MEASURE_DEFAULTS.runs,
  allowedDrop: DEFAULT_ALLOWED_DROP,
};

/** How well the outputs of a quantized model agree with those of the float model. */
export const agreementSchema = z.object({
  /** The number of images on which both models ran. */
  inputs: z.number(),
  /** The number of results that were compared. */
  count: z.number(),
  /** The change of the outputs by quantization as one number, which is 0 if they are equal. */
  loss: z.number(),
  /** The means of the figures that `outputFigures` explains. */
  figures: z.record(z.string(), z.number()),
});

/** One model of the comparison. */
export interface CompressedVariant extends Variant {
  /** The hash of the model, by which other results of it are recognised. */
  readonly modelHash?: string | undefined;
  /** Seconds to read the model and prepare it; the median of several processes. */
  readonly loadSeconds: number;
  /** Average precision of each category, from 0 to 1; −1 without a labelled box. */
  readonly categories: readonly CategoryScore[];
  /** The agreement with the float model; undefined for the float model itself. */
  readonly agreement: z.output<typeof agreementSchema> | undefined;
}

/** The boxes that each variant found in an image of the report. */
export interface CompressedImage {
  /** The path of the image. */
  readonly path: string;
  /** The hash of the file: a report shows no other picture than the one in which the boxes were found. */
  readonly hash: string;
  /** The boxes of each model. */
  readonly detections: readonly {
    /** The name of the model. */
    readonly variant: string;
    /** The boxes that it found. */
    readonly found: readonly Detection[];
    /** The objects in the image that only one of the float model and this one finds; undefined for the float model. */
    readonly change?: ChangedCount | undefined;
  }[];
}

/** The form of `results.json`, by which its readers know it. */
export const RESULTS_FORMAT = 'dino8-results-1';

/** The result of `compress`, which is also the content of `results.json`. */
export interface CompressResult {
  /** The form of the file. */
  readonly format: typeof RESULTS_FORMAT;
  /** The version of dino8. */
  readonly version: string;
  /** The title of the report. */
  readonly title: string;
  /** Sentences that describe the measurements and the machine. */
  readonly summary: string;
  /** The path of the report. */
  readonly report: string;
  /** The meaning of the figures in `agreement`. */
  readonly outputFigures: readonly OutputFigure[];
  /** The points of AP that a variant may lose to be recommended. */
  readonly allowedDrop: number;
  /** The variant to ship, and why. */
  readonly recommendation: Recommendation;
  /** The models; the first is the float model. */
  readonly variants: readonly CompressedVariant[];
  /** Some images with the boxes that each model found in them. */
  readonly images: readonly CompressedImage[];
  /** Measurements of a model of the published size, which `demo` adds. */
  readonly publishedSize?: PublishedSize | undefined;
  /** The modules of the last model. */
  readonly inspected: {
    /** The name of the model. */
    readonly name: string;
    /** Its modules. */
    readonly inspection: Inspection;
  };
  /** The values of the last variant with fixed ranges that fit them worst; undefined if no variant has fixed ranges. */
  readonly activations?: ActivationRanges | undefined;
  /** How all this was made. */
  readonly provenance: Provenance;
}

/** The options with every default filled in. */
export interface ResolvedCompress extends CompressOptions {
  readonly recipes: readonly string[];
  readonly setAside: number;
  readonly calibrationImages: number;
  readonly images: number;
  readonly seed: number;
  readonly runs: number;
  readonly allowedDrop: number;
  readonly report: string;
  readonly title: string;
  readonly onNotice: (sentence: string) => void;
}

/** Fills in the defaults. @throws UsageError if options contradict each other */
export function resolveCompressOptions(options: CompressOptions): ResolvedCompress {
  const { output, calibration, setAside = COMPRESS_DEFAULTS.setAside } = options;
  if (calibration !== undefined && options.setAside !== undefined)
    throw new UsageError('With `calibration`, nothing is set aside; leave `setAside` out.');
  checkFraction(setAside);
  if (options.qat) checkOptions('`qat`', qatSchemas, options.qat);
  const recipes = options.recipes ?? COMPRESS_DEFAULTS.recipes;
  if (recipes.length === 0) throw new UsageError('`recipes` names no recipe; give at least one.');
  return {
    ...options,
    recipes,
    setAside,
    calibrationImages: options.calibrationImages ?? COMPRESS_DEFAULTS.calibrationImages,
    images: options.images ?? COMPRESS_DEFAULTS.images,
    seed: options.seed ?? COMPRESS_DEFAULTS.seed,
    runs: options.runs ?? COMPRESS_DEFAULTS.runs,
    allowedDrop: options.allowedDrop ?? COMPRESS_DEFAULTS.allowedDrop,
    report: options.report ?? join(output, 'report.html'),
    title: options.title ?? `${basename(resolve(options.checkpoint))}: precisions compared`,
    onNotice: options.onNotice ?? (() => undefined),
  };
}
