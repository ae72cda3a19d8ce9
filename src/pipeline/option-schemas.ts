/** What the options must be that several steps have. Those of one step are beside it. */
import { z } from 'zod';
import {
  abortSignal,
  callback,
  either,
  numberWithin,
  type OptionSchemas,
  objectWith,
  oneOf,
  optional,
  text,
  truth,
  wholeNumber,
} from '../base/check-options.ts';
import type { WorkOptions } from '../base/progress.ts';
import { CHANNEL_ORDERS, LAYOUTS } from '../data/image-input.ts';
import { maxPixelsSchema } from '../data/pixel-limit.ts';
import { LARGEST_SIDE } from '../models/specialize.ts';
import { MAXIMUM_SHARDS } from '../quant/observe/statistics-file.ts';
import { PROVIDER_NAMES } from '../runtime/options.ts';
import { type ThreadOptions, threadsSchema } from '../runtime/threads.ts';
import type { BlankInputOptions } from './blank-inputs.ts';
import type { CalibrationOptions } from './calibration-options.ts';
import type { JudgedDetectionsOptions } from './judged-detections.ts';
import type { DatasetOptions } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** The path of a file that may be left out. */
export const optionalPath = optional(text);
/** A number of images or other things of which there may be any number. */
export const countSchema = optional(wholeNumber(1));
/** A seed of random choices. */
export const seedSchema = optional(wholeNumber(0));
/** The points of average precision that may be lost. */
export const allowedDropSchema = optional(numberWithin(0, 100));
/** Where a model runs. */
export const deviceSchema = optional(oneOf(PROVIDER_NAMES));

const readModel = objectWith('a model', 'model', 'family', 'source');
/** A model, by its path or as it was read. */
export const modelSchema = either('the path of a model, or a model that was read before', text, readModel);

const side = wholeNumber(1, LARGEST_SIDE);
const finite = z.number({ error: 'a finite number' });
const channels = z.tuple([finite, finite, finite], { error: 'a list of three finite numbers' });
const notZero = finite.refine((value) => value !== 0, { error: 'a number other than 0' });

/** How pictures become the input of a model that is no detector of dino8. */
export const picturesSchema = optional(
  z.strictObject(
    {
      mean: channels,
      std: z.tuple([notZero, notZero, notZero], { error: 'a list of three finite numbers' }),
      scale: optional(notZero),
      layout: optional(oneOf(LAYOUTS)),
      channels: optional(oneOf(CHANNEL_ORDERS)),
      size: optional(z.strictObject({ height: side, width: side }, { error: 'a height and a width' })),
      input: optional(text),
    },
    { error: 'an object with the mean and std of pictures' },
  ),
);

const datasetFiles = z.strictObject(
  {
    path: text,
    annotations: optional(text),
    imagesRoot: optional(text),
    split: optional(text),
    ignoreOrientation: optional(truth),
    cleanNames: optional(truth),
  },
  { error: 'a path, an object with a path, or a data set' },
);
const readDataset = objectWith('a data set', 'images', 'annotations', 'categories', 'pathOf');
const samples = objectWith('samples', 'samples', 'total', 'key');

const inputWith = (what: string, ...others: readonly z.ZodType[]) =>
  z.unknown().superRefine((value, context) => {
    if (text.safeParse(value).success || others.some((other) => other.safeParse(value).success)) return;
    const isFiles = typeof value === 'object' && value !== null && 'path' in value;
    const { error } = isFiles ? datasetFiles.safeParse(value) : { error: undefined };
    if (isFiles && !error) return;
    if (error) for (const issue of error.issues) context.addIssue({ ...issue });
    else context.addIssue({ code: 'custom', message: what });
  });

/** A data set, by its path, with what else is said about it, or as it was read. */
export const datasetSchema: z.ZodType = inputWith('a path, an object with a path, or a data set', readDataset);
/** A data set, or inputs of another model. */
export const inputSchema: z.ZodType = inputWith(
  'a path, an object with a path, a data set, or samples',
  readDataset,
  samples,
);
/** A data set in files. */
export const datasetFilesSchema: z.ZodType = inputWith('a path, or an object with a path');

/** A recipe, by its name, its path or as it was read. */
export const recipeSchema = optional(
  either('the name or the path of a recipe, or a recipe', text, objectWith('', 'rules', 'techniques')),
);

/** Phrases, whose items are checked where they are split. */
export const phrasesSchema = optional(
  z.custom((value) => typeof value === 'string' || Array.isArray(value), { error: 'a text or a list of texts' }),
);

/** Named prompts, whose names and phrases are checked where they are fixed. */
export const promptsSchema = optional(
  z.custom((value) => typeof value === 'object' && value !== null && !Array.isArray(value), {
    error: 'an object with phrases by the names of prompts',
  }),
);

/** The target of quantization, whose name is looked up. */
export const targetSchema = optional(
  either('the name of a target, or a target', text, objectWith('', 'name', 'place')),
);

export const workSchemas: OptionSchemas<WorkOptions> = {
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

export const threadSchemas: OptionSchemas<ThreadOptions> = { threads: threadsSchema };

export const overwriteSchemas: OptionSchemas<OverwriteOptions> = { overwrite: optional(truth) };

export const datasetSchemas: OptionSchemas<DatasetOptions> = {
  ...workSchemas,
  skipUnreadable: optional(truth),
  onLeftOut: optional(callback),
  maxPixels: maxPixelsSchema,
};

export const calibrationSchemas: OptionSchemas<CalibrationOptions> = {
  ...datasetSchemas,
  statistics: optional(
    either('the path of a statistics file, or statistics', text, objectWith('', 'statistics', 'model')),
  ),
  calibration: optional(inputSchema),
  pictures: picturesSchema,
  calibrationImages: countSchema,
  seed: seedSchema,
  calibrationPhrases: phrasesSchema,
};

/** The dimensions of a blank input are bounded by what one array can hold. */
const LARGEST_DIMENSION = 2 ** 31 - 1;

export const blankInputSchemas: OptionSchemas<BlankInputOptions> = {
  tokens: optional(wholeNumber(1, 65_536)),
  shapes: optional(
    z.record(
      z.string(),
      z
        .array(wholeNumber(0, LARGEST_DIMENSION), { error: 'a list of dimensions' })
        .max(64, { error: 'at most 64 dimensions' }),
      { error: 'an object with the shapes of inputs by their names' },
    ),
  ),
};

const partOfShards = wholeNumber(1, MAXIMUM_SHARDS);

/** One part of a work that is done in several. */
export const shardSchema = optional(
  z
    .strictObject({ index: partOfShards, count: partOfShards }, { error: 'an object with an index and a count' })
    .refine(({ index, count }) => Number(index) <= Number(count), {
      error: 'a part that is not beyond the number of parts',
    }),
);

const detectionList = z.custom((value) => Array.isArray(value), { error: 'a list' });
const detectionsSchema = either(
  'the path of a file of detections, or a list of paths or detections',
  text,
  detectionList,
);

/** Detections, by the path of their file or as a list. */
export const optionalDetections = optional(detectionsSchema);

export const judgedDetectionsSchemas: OptionSchemas<JudgedDetectionsOptions> = {
  ...workSchemas,
  ...overwriteSchemas,
  detections: detectionsSchema,
  annotations: datasetSchema,
  against: optionalDetections,
  images: countSchema,
  output: optionalPath,
};
