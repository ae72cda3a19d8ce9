/** The figures of samples of images are those that pycocotools 2.0.11 gives for data sets in which drawn images are copied. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readAnnotations } from '../data/datasets/coco-json.ts';
import type { CocoDetection } from './coco-detection.ts';
import { matchDetections } from './matches.ts';
import { scoreMatches } from './score-matches.ts';

const folder = join(packageRoot, 'test/fixtures/golden/coco');
const json = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));

interface Resample {
  /** The number of times that each image was drawn. */
  readonly draws: readonly number[];
  /** The digits to which scores were rounded, so that many are equal; null for none. */
  readonly digits: number | null;
  readonly stats: readonly number[];
  readonly per_category_ap: Readonly<Record<string, number>>;
}

// bench/peers/make_bootstrap_golden.py writes resamples.json.
const resamples: Readonly<Record<string, readonly Resample[]>> = json('resamples');

test.each(Object.keys(resamples))('every resample has the figures of pycocotools to 1e-9: %s', async (name) => {
  const truth = await readAnnotations(join(folder, `${name}_ground_truth.json`));
  const detections: CocoDetection[] = json(`${name}_detections`);
  for (const { draws, digits, stats, per_category_ap } of resamples[name] ?? []) {
    const rounded = detections.map((detection) => {
      return { ...detection, score: digits === null ? detection.score : Number(detection.score.toFixed(digits)) };
    });
    const { figures, averagePrecisionOf } = scoreMatches(matchDetections(truth, rounded), Uint32Array.from(draws));
    for (const [index, value] of Object.values(figures).entries())
      expect(Math.abs(value - (stats[index] ?? Number.NaN)), Object.keys(figures)[index]).toBeLessThan(1e-9);
    for (const [category, value] of Object.entries(per_category_ap))
      expect(Math.abs((averagePrecisionOf.get(Number(category)) ?? Number.NaN) - value), category).toBeLessThan(1e-9);
  }
});
