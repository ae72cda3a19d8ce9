/** The distillation loss is 0 for a student that equals its teacher, and positive once the student is rounded. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { planCalibration } from '../../../data/calibration-plan.ts';
import { takeImages } from '../../../data/coco.ts';
import { readDataset } from '../../../data/datasets/read-dataset.ts';
import { planQuantizedTraining } from '../../../pipeline/plan-quantized-training.ts';
import { readRecipe } from '../../../quant/recipe.ts';
import { createTraining } from '../../../train/create-training.ts';
import { resolveTrainingSettings } from '../../../train/training-settings.ts';
import { buildPackage, readCheckpoint } from '../../package/package.ts';
import { writeSmallCheckpoint } from '../testing/small-checkpoint.ts';

test('without labels the loss is 0 in float, positive once rounding is on, and smaller after training', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'dino8-distillation-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const source = await readCheckpoint(await writeSmallCheckpoint(join(folder, 'checkpoint')));
  const labelled = await readDataset(join(packageRoot, 'assets/shapes/calib'));
  const dataset = { ...takeImages(labelled, 2), annotations: [] };
  const plan = planCalibration(labelled, 4, 0);
  const quantized = await planQuantizedTraining(await buildPackage(source), await readRecipe('full'), { plan });
  const settings = resolveTrainingSettings(source, dataset, 'qat', {
    steps: 31,
    batch: 2,
    textLength: 32,
    mirror: 0,
    labels: 0,
    distil: 1,
    schedule: 'constant',
    learningRate: 3e-5,
    weightDecay: 0,
    averageDecay: 0,
    warmUp: 1,
  });
  await using session = await createTraining(source, dataset, settings, { quantized });
  const losses: number[] = [];
  for (let step = 1; step <= settings.steps; step++)
    losses.push((await session.trainer.step(step)).distillation ?? Number.NaN);
  // The same results but for the order in which ONNX Runtime adds.
  expect(losses[0]).toBeLessThan(1e-4);
  expect(losses[1]).toBeGreaterThan(1e-2);
  // Prompts change from step to step, so that single losses say little.
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(losses.slice(-10))).toBeLessThan(mean(losses.slice(1, 11)));
});
