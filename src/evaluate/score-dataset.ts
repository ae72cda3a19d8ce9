/** Running a detector over a dataset and scoring it: every category is a phrase of one prompt. */

import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import type { Detector } from '../detect/detector.ts';
import { averagePrecision, type CocoDetection, type CocoResult } from './average-precision.ts';
import type { Journal } from './journal.ts';

/** COCO's protocol for this model: this many best boxes of an image, over all phrases. */
const BOXES_PER_IMAGE = 300;

export interface DatasetScore extends CocoResult {
  readonly images: number;
  readonly detections: readonly CocoDetection[];
}

export interface ScoreDatasetOptions extends WorkOptions {
  readonly label?: string;
  /** Where what is done is written down, and found again. */
  readonly journal?: Journal | undefined;
}

/**
 * Detects every category in every image. Memory is that of the detections (at most 300 an image), not of the images.
 * @throws UsageError if there is nothing to score
 */
export async function scoreDataset(
  detector: Detector,
  dataset: CocoDataset,
  { onProgress, signal, label = 'Scoring', journal }: ScoreDatasetOptions = {},
): Promise<DatasetScore> {
  if (dataset.images.length === 0 || dataset.categories.length === 0)
    throw new UsageError('The dataset has no images or no categories; there is nothing to score.');
  const categories = dataset.categories.toSorted((a, b) => a.id - b.id);
  const prompt = await detector.encodePrompt(categories.map((category) => category.name));
  const detections: CocoDetection[] = [];
  for (const [done, image] of dataset.images.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label, done, total: dataset.images.length });
    const known = journal?.done.get(image.id);
    if (known) {
      detections.push(...known);
      continue;
    }
    const picture = await readImage(dataset.pathOf(image));
    const boxes = await detector.rank(picture, prompt, BOXES_PER_IMAGE);
    const found = boxes.map(({ phrase, score, box }): CocoDetection => {
      return { image_id: image.id, category_id: categories[phrase]?.id ?? -1, bbox: box, score };
    });
    await journal?.add(image.id, found);
    detections.push(...found);
  }
  onProgress?.({ label, done: dataset.images.length, total: dataset.images.length });
  return { ...averagePrecision(dataset, detections), images: dataset.images.length, detections };
}
