// One contender of bench/train.mjs: training steps of dino8, in a process of its own; prints its result as a line of JSON.
import { planCalibration, readCheckpoint, readDataset, readPackage, readRecipe } from '../dist/index.mjs';
import { createTraining, planQuantizedTraining, resolveTrainingSettings } from '../dist/train.mjs';

const [checkpoint, images, calibration, batch, tokens, steps, recipeName] = process.argv.slice(2);
const source = await readCheckpoint(checkpoint);
const dataset = await readDataset(images);
const settings = resolveTrainingSettings(source, dataset, recipeName === undefined ? 'train' : 'qat', {
  batch: Number(batch),
  steps: Number(steps) + 1,
  height: 192,
  width: 256,
  textLength: Number(tokens),
  schedule: 'constant',
  learningRate: 1e-5,
  backboneRate: 1,
  averageDecay: 0.99,
});
const quantized =
  recipeName === undefined
    ? undefined
    : await planQuantizedTraining(await readPackage(checkpoint), await readRecipe(recipeName), {
        plan: planCalibration(await readDataset(calibration), 16, 0),
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
