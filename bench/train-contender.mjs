// One contender of bench/train.mjs: training steps of dino8, in a process of its own; prints its result as a line of JSON.
import {
  createTraining,
  openCoco,
  planCalibration,
  planQuantizedTraining,
  readCheckpoint,
  readPackage,
  readRecipe,
} from '../dist/index.mjs';

const [checkpoint, images, calibration, batch, tokens, steps, recipeName] = process.argv.slice(2);
const source = await readCheckpoint(checkpoint);
const dataset = await openCoco(images);
const weights = { class: 1, box: 5, giou: 2 };
const settings = {
  batch: Number(batch),
  accumulate: 1,
  steps: Number(steps) + 1,
  canvas: { height: 192, width: 256 },
  textLength: Number(tokens),
  seed: 0,
  augmentation: { mirror: 0.5, crop: 0, smallest: 1, colour: 0 },
  loss: { matching: weights, loss: weights, recompute: false, labels: 1, distillation: 0 },
  denoising: { queries: 0, labelNoise: 0, boxNoise: 0 },
  schedule: { kind: 'constant', max: 1e-5 },
  groups: { weightDecay: 1e-4, backboneRate: 1, scaleRate: 1 },
  optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 0.1, averageDecay: 0.99 },
  warmUp: 0,
  freezeScales: Number.MAX_SAFE_INTEGER,
};
const quantized =
  recipeName === undefined
    ? undefined
    : await planQuantizedTraining(await readPackage(checkpoint), await readRecipe(recipeName), {
        plan: planCalibration(await openCoco(calibration), 16, 0),
      });
const session = await createTraining(source, dataset, settings, { quantized, threads: 2 });
const milliseconds = [];
const losses = [];
for (let step = 1; step <= settings.steps; step++) {
  const start = performance.now();
  losses.push((await session.trainer.step(step)).loss);
  if (step > 1) milliseconds.push(performance.now() - start);
}
await session[Symbol.asyncDispose]();
console.log(JSON.stringify({ milliseconds, losses, peakMegabytes: process.resourceUsage().maxRSS / 1024 }));
