/** The score of the bundled model, beside that of the reference implementation on the same images. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { Detector } from '../detect/detector.ts';
import { readPackage } from '../models/package/package.ts';
import { averagePrecision } from './average-precision.ts';
import { scoreDataset } from './score-dataset.ts';

test('the FP32 model has the scores of the reference implementation', async () => {
  const dataset = takeImages(await readDataset(join(packageRoot, 'assets/shapes/val')), 40);
  await using detector = await Detector.create(await readPackage(join(packageRoot, 'assets/nano')));
  const { figures, detections } = await scoreDataset(detector, dataset);
  const novel = dataset.categories
    .filter((category) => category.supercategory === 'novel')
    .map((category) => category.id);
  const unseen = averagePrecision(dataset, detections, { categories: novel });
  // pycocotools 2.0.11 on the detections of Hugging Face transformers 5.18 in the same 40 images.
  expect(Math.abs(figures.AP - 0.76174)).toBeLessThan(0.002);
  expect(Math.abs(figures.AP50 - 0.92248)).toBeLessThan(0.002);
  expect(Math.abs(unseen.figures.AP - 0.68812)).toBeLessThan(0.002);
});
