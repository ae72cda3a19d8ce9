import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { openCoco } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { readPackage } from '../models/package/package.ts';
import { averagePrecision } from './average-precision.ts';
import { scoreDataset } from './score-dataset.ts';

test('FP32 on all validation images scores as the reference implementation does', async () => {
  const dataset = await openCoco(join(packageRoot, 'assets/shapes/val'));
  await using detector = await Detector.create(await readPackage(join(packageRoot, 'assets/nano')));
  const { figures, detections } = await scoreDataset(detector, dataset);
  const novel = dataset.categories
    .filter((category) => category.supercategory === 'novel')
    .map((category) => category.id);
  const unseen = averagePrecision(dataset, detections, { categories: novel });
  // pycocotools on the detections of HF transformers 5.18: fixtures' stats.json
  expect(Math.abs(figures.AP - 0.67853)).toBeLessThan(0.002);
  expect(Math.abs(figures.AP50 - 0.85894)).toBeLessThan(0.002);
  expect(Math.abs(unseen.figures.AP - 0.61981)).toBeLessThan(0.002);
});
