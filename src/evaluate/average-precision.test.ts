/** Average precision is compared with pycocotools 2.0.11, with crowds, ties, missing categories and many detections. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readAnnotations } from '../data/datasets/coco-json.ts';
import { averagePrecision } from './average-precision.ts';
import type { CocoDetection } from './coco-detection.ts';

const folder = join(packageRoot, 'test/fixtures/golden/coco');
const json = (name: string) => JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'));

test.each(['plain', 'crowds', 'ties', 'missing', 'many'])(
  'average precision agrees with pycocotools to 1e-9: %s',
  async (name) => {
    const truth = await readAnnotations(join(folder, `${name}_ground_truth.json`));
    const detections: CocoDetection[] = json(`${name}_detections`);
    const expected: { stats: number[]; per_category_ap: Record<string, number> } = json(`${name}_expected`);
    const { figures, averagePrecisionOf } = averagePrecision(truth, detections);
    for (const [index, value] of Object.values(figures).entries())
      expect(Math.abs(value - (expected.stats[index] ?? Number.NaN)), Object.keys(figures)[index]).toBeLessThan(1e-9);
    for (const [category, value] of Object.entries(expected.per_category_ap))
      expect(Math.abs((averagePrecisionOf.get(Number(category)) ?? Number.NaN) - value), category).toBeLessThan(1e-9);
  },
);
