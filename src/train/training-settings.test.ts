/** Options of a training that are not honoured are refused. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { readCheckpoint } from '../models/package/package.ts';
import { keyDifference } from './training-key.ts';
import { describePlan, resolveTrainingSettings, type TrainingKind, type TrainingOptions } from './training-settings.ts';

const source = await readCheckpoint(join(packageRoot, 'assets/nano'));
const dataset = await readDataset(join(packageRoot, 'assets/shapes/calib'));

test('epochs become steps of whole batches', () => {
  const { length } = dataset.images;
  const settings = resolveTrainingSettings(source, dataset, 'train', { epochs: 3, batch: 5, accumulate: 2 });
  expect(settings.steps).toBe(3 * Math.floor(length / 10));
});

test('the canvas is large enough for every image, and the text length for all categories', () => {
  const { canvas, textLength } = resolveTrainingSettings(source, dataset, 'qat');
  for (const { width, height } of dataset.images) {
    expect(width).toBeLessThanOrEqual(canvas.width);
    expect(height).toBeLessThanOrEqual(canvas.height);
  }
  expect([canvas.width % 32, canvas.height % 32, textLength % 8]).toEqual([0, 0, 0]);
});

test('what a training chose is one sentence', () => {
  const { length } = dataset.images;
  const settings = resolveTrainingSettings(source, dataset, 'train', { steps: 30 });
  expect(describePlan(settings, length)).toMatch(
    new RegExp(`^${length} images: 30 steps of 12 images .* 4\\.0e-4 .*\\.$`),
  );
});

test('random weights are trained longer, and at the full rate everywhere', () => {
  const [stored, fresh] = [false, true].map((fromScratch) =>
    resolveTrainingSettings(source, dataset, 'train', {}, { fromScratch }),
  );
  expect(fresh?.steps).toBeGreaterThan(stored?.steps ?? 0);
  expect(fresh?.groups.backboneRate).toBe(1);
});

test.each<readonly [TrainingKind, TrainingOptions, RegExp]>([
  ['train', { batch: 0 }, /`batch` must be a whole number from 1 to 1024, not 0/],
  ['train', { mirror: 2 }, /`mirror` must be a number from 0 to 1, not 2/],
  ['train', { learningRate: Number.NaN }, /`learningRate` must be a number above 0, not NaN/],
  ['train', { warmUp: 3 }, /`warmUp` is for quantization-aware training/],
  ['train', { scaleRate: 0 }, /`scaleRate` is for quantization-aware training/],
  ['qat', { baseRate: 1e-5 }, /`baseRate` is for the triangular schedules/],
  ['train', { schedule: 'constant', rise: 0.1 }, /`rise` is for the schedules cosine and one-cycle/],
  ['qat', { steps: 3, epochs: 2 }, /`epochs` has no meaning beside steps/],
  ['qat', { labels: 0 }, /nothing to learn from/],
])('%s with %o is refused', (kind, options, message) => {
  expect(() => resolveTrainingSettings(source, dataset, kind, options)).toThrow(message);
});

test('the difference between two trainings has the name of a setting, or of the data', () => {
  const hash = '0123456789abcdef'.repeat(2);
  const key = { batch: 4, 'schedule.max': 1e-4, images: hash };
  expect(keyDifference(key, { ...key })).toBeUndefined();
  // As the caller gave it.
  expect(keyDifference(key, { ...key, 'schedule.max': 1e-5 })).toMatch(
    /`learningRate` was 0\.0001 and is now 0\.00001/,
  );
  expect(keyDifference(key, { ...key, images: hash.replaceAll('0', '1') })).toBe('the images differ');
  expect(keyDifference({ batch: 4 }, { batch: 4, recipe: hash })).toBe('the recipe differs');
  expect(keyDifference({ ...key, freezeScales: 3 }, key)).toMatch(/`freezeScales` was 3 and is now absent/);
});
