/**
 * LVIS's federated protocol for boxes (Gupta et al. 2019, https://arxiv.org/abs/1908.03195, section 4), as the package lvis computes
 * it: in each image only the categories count of which it is known whether the image shows them, and where not every object of a
 * category is labelled, a detection of no labelled object does not count.
 */
import { UsageError } from '../base/errors.ts';
import { type CocoAnnotations, checkAnnotationsArgument, checkDetectionsArgument, groupByImage } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { matchBy } from './matches.ts';
import { type CocoFigures, type CocoResult, scoreMatches } from './score-matches.ts';

/** The number of best detections of an image that count, over all categories together. */
const MOST_OF_IMAGE = 300;
/** The third limit is for recall; the figures of LVIS do not use the others. */
const LIMITS = [1, 10, MOST_OF_IMAGE];

/**
 * The 13 figures in the order of the package lvis, each from 0 to 1, and −1 if there is no ground truth for it. AP is average
 * precision and AR average recall, over IoU from 0.50 to 0.95 unless the name says otherwise.
 */
export interface FederatedFigures extends Omit<CocoFigures, 'AR1' | 'AR10' | 'AR100'> {
  /** Average precision of the categories that are rare in the images for training. */
  readonly APrare: number;
  /** Average precision of the categories that are common there. */
  readonly APcommon: number;
  /** Average precision of the categories that are frequent there. */
  readonly APfrequent: number;
  /** Average recall with 300 detections in each image. */
  readonly AR300: number;
}

/** The figures of a federated data set. */
export interface FederatedResult extends Pick<CocoResult, 'averagePrecisionOf'> {
  /** The figures over all categories. */
  readonly figures: FederatedFigures;
}

/**
 * Scores detections by LVIS's federated protocol. As in the package lvis, the 300 best detections of each image count, over all
 * categories together.
 * @param truth the labels of a federated data set, whose images have `neg_category_ids`
 * @param detections the detections in any order
 * @throws UsageError if no image says of which categories it is known that it shows none
 * @example
 * const { figures } = federatedPrecision(await readAnnotations('lvis_v1_val.json'), detections);
 * console.log(`AP of rare categories ${(100 * figures.APrare).toFixed(2)}`);
 */
export function federatedPrecision(truth: CocoAnnotations, detections: readonly CocoDetection[]): FederatedResult {
  checkAnnotationsArgument(truth);
  checkDetectionsArgument(detections);
  if (!isFederated(truth))
    throw new UsageError(
      "No image of the labels has `neg_category_ids`, so that they are of no federated data set; score them by COCO's protocol.",
    );
  const known = new Map(truth.images.map(({ id, neg_category_ids: negative = [] }) => [id, new Set(negative)]));
  for (const { image_id, category_id } of truth.annotations) known.get(image_id)?.add(category_id);
  const partial = new Map(truth.images.map(({ id, not_exhaustive_category_ids: ids = [] }) => [id, new Set(ids)]));
  const counted = [...groupByImage(detections)].flatMap(([image, found]) =>
    bestOf(found).filter(({ category_id }) => known.get(image)?.has(category_id)),
  );
  const isPartial = (image: number, category: number) => partial.get(image)?.has(category) ?? false;
  const { figures, averagePrecisionOf } = scoreMatches(matchBy(truth, counted, {}, { limits: LIMITS, isPartial }));
  const { AP, AP50, AP75, APsmall, APmedium, APlarge, AR100, ARsmall, ARmedium, ARlarge } = figures;
  const meanOf = (frequency: string) => {
    const values = truth.categories
      .filter((category) => category.frequency === frequency)
      .map(({ id }) => averagePrecisionOf.get(id) ?? -1)
      .filter((value) => value >= 0);
    return values.length === 0 ? -1 : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const byFrequency = { APrare: meanOf('r'), APcommon: meanOf('c'), APfrequent: meanOf('f') };
  const precision = { AP, AP50, AP75, APsmall, APmedium, APlarge, ...byFrequency };
  // COCO's name of the recall at the last limit, which is 300 here.
  return { figures: { ...precision, AR300: AR100, ARsmall, ARmedium, ARlarge }, averagePrecisionOf };
}

/** Whether labels are of a federated data set: their images say which categories they do not show. */
export const isFederated = ({ images }: Pick<CocoAnnotations, 'images'>): boolean =>
  images.some(({ neg_category_ids: negative }) => negative);

/** The best detections of an image. Equal ones stay in their order. */
const bestOf = (found: readonly CocoDetection[]): readonly CocoDetection[] =>
  found.length <= MOST_OF_IMAGE ? found : found.toSorted((a, b) => b.score - a.score).slice(0, MOST_OF_IMAGE);
