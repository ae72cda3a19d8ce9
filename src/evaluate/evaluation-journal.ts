/** The journal of an evaluation: the detections of each image that is done, so that an interrupted run continues. */

import { z } from 'zod';
import {
  abortSignal,
  callback,
  checkOptions,
  checkPath,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
} from '../base/check-options.ts';
import { InputError } from '../base/errors.ts';
import { Journal } from '../base/json-lines.ts';
import { packageVersion } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, checkDatasetArgument } from '../data/coco.ts';
import { isPossibleBox } from '../data/labelled-box.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { CocoDetection } from './coco-detection.ts';
import { type DatasetIdentity, identifyDataset } from './dataset-identity.ts';
import { BOXES_PER_IMAGE } from './protocol.ts';

const coordinate = z.number();

const entrySchema = z
  .object({
    /** The id of the image. */
    image: z.int(),
    detections: z
      .array(
        z.object({
          image_id: z.int(),
          category_id: z.int(),
          bbox: z.tuple([coordinate, coordinate, coordinate, coordinate]).refine(isPossibleBox).readonly(),
          score: z.number().min(0).max(1),
        }),
      )
      .max(BOXES_PER_IMAGE)
      .readonly(),
  })
  .refine(({ image, detections }) => detections.every(({ image_id }) => image_id === image));

/** One image of an evaluation with everything that was detected in it. */
export interface EvaluationEntry {
  /** The id of the image. */
  readonly image: number;
  /** The detections, the best first. */
  readonly detections: readonly CocoDetection[];
}

/** A journal whose entries are the images that an evaluation has scored. */
export type EvaluationJournal = Journal<EvaluationEntry>;

/** Options of `openEvaluationJournal`. */
export interface EvaluationJournalOptions extends WorkOptions {
  /** The identity of the data set, if it is known; otherwise every image is read to find it. */
  readonly identity?: DatasetIdentity | undefined;
}

const openEvaluationJournalSchemas: OptionSchemas<EvaluationJournalOptions> = {
  identity: optional(objectWith('what `identifyDataset` returned', 'images', 'annotations', 'prompt')),
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

/**
 * Opens the journal of an evaluation of `source` on `dataset`, or starts one. Its key covers everything that the scores
 * depend on: the model, the content of the images, the annotations, the prompt and the protocol.
 * @throws InputError if the file belongs to another evaluation (the message names what differs) or is damaged, and
 * UsageError if an image does not exist
 * @example
 * await using detector = await Detector.create(source);
 * const journal = await openEvaluationJournal('scores.jsonl', source, dataset);
 * const { figures } = await scoreDataset(detector, dataset, { journal });
 */
export async function openEvaluationJournal(
  path: string,
  source: Pick<ModelPackage, 'model'>,
  dataset: CocoDataset,
  options: EvaluationJournalOptions = {},
): Promise<EvaluationJournal> {
  checkPath(path);
  checkValue('The model', objectWith('what `readPackage` returned', 'model'), source);
  checkDatasetArgument(dataset);
  checkOptions('openEvaluationJournal', openEvaluationJournalSchemas, options);
  const { identity, ...work } = options;
  const key = {
    version: packageVersion(),
    model: modelHash(source.model),
    boxesPerImage: BOXES_PER_IMAGE,
    ...(identity ?? (await identifyDataset(dataset, work))),
  };
  const journal = await Journal.open(path, { kind: 'evaluation', key, schema: entrySchema });
  try {
    checkEntries(journal.entries, dataset, path);
  } catch (error) {
    await journal.close();
    throw error;
  }
  return journal;
}

/** @throws InputError if an entry is of an image or a category that the data set does not have, or an image has two */
function checkEntries(entries: readonly EvaluationEntry[], dataset: CocoDataset, path: string): void {
  const images = new Set(dataset.images.map(({ id }) => id));
  const categories = new Set(dataset.categories.map(({ id }) => id));
  for (const [index, { image, detections }] of entries.entries())
    if (!images.delete(image) || detections.some(({ category_id }) => !categories.has(category_id)))
      throw new InputError(
        `${path} is damaged in line ${index + 2}, whose image or category is none of this evaluation, or there twice; remove it to start anew, or choose another path.`,
      );
}
