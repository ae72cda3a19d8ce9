/** What `vocabulary` takes. */
import { z } from 'zod';
import { either, numberWithin, type OptionSchemas, optional, text } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import type { Paraphrases } from '../data/paraphrases.ts';
import { DEFAULT_THRESHOLD } from '../detect/select-boxes.ts';
import { type ReadOptions, readSchemas } from '../models/package/package.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import {
  countSchema,
  datasetSchema,
  datasetSchemas,
  modelSchema,
  optionalPath,
  overwriteSchemas,
  seedSchema,
  threadSchemas,
} from './option-schemas.ts';
import type { DatasetOptions, DatasetSource, ModelSource } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of `vocabulary`. At least one of `seen`, `unseen`, `paraphrases` and `absent` is needed. */
export interface VocabularyOptions extends DatasetOptions, ReadOptions, ThreadOptions, OverwriteOptions {
  /** The model. */
  readonly model: ModelSource;
  /** Another model, such as the float one; the changes from it are computed too. */
  readonly against?: ModelSource | undefined;
  /** The labelled images. */
  readonly dataset: DatasetSource;
  /** Uses the first images, this many; 100 by default. */
  readonly images?: number | undefined;
  /** The names of the categories that training saw; all others count as unseen. */
  readonly seen?: readonly string[] | undefined;
  /** The names of the categories that training never saw; all others count as seen. */
  readonly unseen?: readonly string[] | undefined;
  /** Other phrases by the names of categories, or the path of a YAML or JSON file of them. Each takes a pass over the images. */
  readonly paraphrases?: string | Paraphrases | undefined;
  /**
   * Asks for phrases that name nothing in an image, beside those of what it shows: the other categories of the data set (`true`),
   * or the phrases of a list, which must name nothing in any image. Each length of prompt takes a pass over the images.
   */
  readonly absent?: boolean | readonly string[] | undefined;
  /** The score from which a box of an absent phrase is a false alarm, from 0 to 1; 0.35 by default. */
  readonly threshold?: number | undefined;
  /** The seed of the choice of absent phrases, and of the intervals; 0 by default. */
  readonly seed?: number | undefined;
  /** The JSON file to write. With it, images that are done are kept in the folder `OUTPUT.partial` and not run again. */
  readonly output?: string | undefined;
  /** The HTML file to write with tables and a chart. */
  readonly report?: string | undefined;
}

/** The defaults of `VocabularyOptions`. */
export const VOCABULARY_DEFAULTS: Defaults<VocabularyOptions, 'images' | 'threshold' | 'seed'> = {
  images: 100,
  threshold: DEFAULT_THRESHOLD,
  seed: 0,
};

const names = z.array(text, { error: 'a list of texts' });
const paraphrasesSchema = either(
  'the path of a file, or an object with lists of phrases by the names of categories',
  text,
  z.record(z.string(), names.min(1)),
);

/** What the options of `vocabulary` must be. */
export const vocabularySchemas: OptionSchemas<VocabularyOptions> = {
  ...datasetSchemas,
  ...readSchemas,
  ...threadSchemas,
  ...overwriteSchemas,
  model: modelSchema,
  against: optional(modelSchema),
  dataset: datasetSchema,
  images: countSchema,
  seen: optional(names),
  unseen: optional(names),
  paraphrases: optional(paraphrasesSchema),
  absent: optional(either('true, false or a list of phrases', z.boolean(), names)),
  threshold: optional(numberWithin(0, 1)),
  seed: seedSchema,
  output: optionalPath,
  report: optionalPath,
};
