/** The journal of an evaluation: the detections of each image that is done, so that an interrupted run continues. */
import { z } from 'zod';
import { Journal } from '../base/json-lines.ts';
import { packageVersion } from '../base/package-root.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { modelHash } from '../onnx/hash.ts';
import type { CocoDetection } from './coco-detection.ts';
import { type DatasetIdentity, identifyDataset } from './dataset-identity.ts';
import { BOXES_PER_IMAGE } from './protocol.ts';

const entrySchema = z.object({
  /** The id of the image. */
  image: z.number(),
  detections: z
    .array(
      z.object({
        image_id: z.number(),
        category_id: z.number(),
        bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]).readonly(),
        score: z.number(),
      }),
    )
    .readonly(),
});

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
  { identity, ...work }: EvaluationJournalOptions = {},
): Promise<EvaluationJournal> {
  const key = {
    version: packageVersion(),
    model: modelHash(source.model),
    boxesPerImage: BOXES_PER_IMAGE,
    ...(identity ?? (await identifyDataset(dataset, work))),
  };
  return Journal.open(path, { kind: 'evaluation', key, schema: entrySchema });
}
