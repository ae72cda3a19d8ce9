/** Splits one data set into images to calibrate on and other images to score on. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { UsageError } from '../base/errors.ts';
import type { CocoDataset } from '../data/coco.ts';
import { shuffle } from '../data/shuffle.ts';

/** Two data sets without a common image. */
export interface SplitDataset {
  readonly calibration: CocoDataset;
  readonly scoring: CocoDataset;
}

/** Checks the fraction of a split, which callers can do before they read files. @throws UsageError if it is out of range */
export function checkFraction(fraction: number): void {
  if (!(fraction > 0 && fraction < 1)) throw new UsageError(`\`setAside\` must be between 0 and 1, not ${fraction}.`);
}

/**
 * Splits a data set at random. The same seed gives the same split; both parts keep the order of the images.
 *
 * @param fraction the fraction of the images for calibration, between 0 and 1; each part gets at least one image
 * @throws UsageError if there are fewer than two images, or if `fraction` does not lie between 0 and 1
 */
export function splitDataset(dataset: CocoDataset, fraction: number, seed: number): SplitDataset {
  checkFraction(fraction);
  const count = dataset.images.length;
  if (count < 2)
    throw new UsageError(
      'The data set has fewer than two images, so that it cannot be split; give other images with `calibration`.',
    );
  const random = xoroshiro128plus(seed);
  const order = shuffle(dataset.images, (limit) => uniformInt(random, 0, limit - 1));
  const size = Math.min(Math.max(Math.round(fraction * count), 1), count - 1);
  const chosen = new Set(order.slice(0, size).map(({ id }) => id));
  const part = (isChosen: boolean): CocoDataset => ({
    ...dataset,
    images: dataset.images.filter(({ id }) => chosen.has(id) === isChosen),
    annotations: dataset.annotations.filter(({ image_id }) => chosen.has(image_id) === isChosen),
  });
  return { calibration: part(true), scoring: part(false) };
}
