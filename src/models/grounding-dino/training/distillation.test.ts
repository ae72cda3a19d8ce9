/** A student that is its teacher has nothing to learn; one that is rounded has, and only then. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { planCalibration } from '../../../data/calibration-plan.ts';
import { openCoco, takeImages } from '../../../data/coco.ts';
import { planQuantizedTraining } from '../../../pipeline/plan-quantized-training.ts';
import { readRecipe } from '../../../quant/recipe.ts';
import { createTraining, type TrainingSettings } from '../../../train/create-training.ts';
import { buildPackage, readCheckpoint } from '../../package/package.ts';

const weights = { class: 1, box: 5, giou: 2 };
const settings: TrainingSettings = {
  batch: 2,
  accumulate: 1,
  steps: 31,
  canvas: { height: 192, width: 256 },
  textLength: 32,
  seed: 0,
  augmentation: { mirror: 0.5, crop: 0.5, smallest: 0.6, colour: 0.1 },
  loss: { matching: weights, loss: weights, recompute: false, labels: 0, distillation: 1 },
  denoising: { queries: 0, labelNoise: 0, boxNoise: 0 },
  schedule: { kind: 'constant', max: 3e-5 },
  groups: { weightDecay: 0, backboneRate: 1, scaleRate: 1 },
  optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 0.1, averageDecay: 0 },
  warmUp: 1,
  freezeScales: Number.MAX_SAFE_INTEGER,
};

test('without labels: no loss in float, some once rounding is on, and less after steps', async () => {
  const source = await readCheckpoint(join(packageRoot, 'assets/nano'));
  const labelled = await openCoco(join(packageRoot, 'assets/shapes/calib'));
  const dataset = { ...takeImages(labelled, 2), annotations: [] };
  const plan = planCalibration(labelled, 4, 0);
  const quantized = await planQuantizedTraining(await buildPackage(source), await readRecipe('full'), { plan });
  const still = { ...settings, augmentation: { mirror: 0, crop: 0, smallest: 1, colour: 0 } };
  await using session = await createTraining(source, dataset, still, { quantized });
  const losses: number[] = [];
  for (let step = 1; step <= settings.steps; step++)
    losses.push((await session.trainer.step(step)).distillation ?? Number.NaN);
  // The same results but for the order in which ONNX Runtime adds.
  expect(losses[0]).toBeLessThan(1e-4);
  expect(losses[1]).toBeGreaterThan(1e-2);
  // Prompts change from step to step, so that single losses say little.
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  expect(mean(losses.slice(-10))).toBeLessThan(mean(losses.slice(1, 11)));
}, 300_000);
