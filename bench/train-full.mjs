// Runs one training step at the published size, batch 1 at 800x1333 with 256 tokens, and shows its memory, its time, and
// whether its gradient is right. The loss is computed again with the weights moved by ± h along the gradient g: its slope is |g|.
//
//   node bench/train-full.mjs CHECKPOINT [--keep] [--write]      --keep: without recomputing the layers of the encoder
//
// The checkpoint is of the published size, such as .dino8/bench-full/hf, which bench:full makes. --write puts the figures into
// docs/training.md.
import { availableParallelism } from 'node:os';
import { readCheckpoint } from '../dist/index.mjs';
import { initialWeights } from '../dist/models.mjs';
import { floats, integers, tensor } from '../dist/runtime.mjs';
import { buildStepModels, Trainer } from '../dist/train.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const {
  values: options,
  positionals: [checkpoint],
} = readArguments({ keep: { type: 'boolean', default: false } });
if (!checkpoint) misuse('usage: node bench/train-full.mjs CHECKPOINT [--keep] [--write]');
const read = await readCheckpoint(checkpoint);
/** The number of a checkpoint's parameters. */
const parameters = [...read.tensors].reduce(
  (sum, [, { shape }]) => sum + shape.reduce((product, dimension) => product * dimension, 1),
  0,
);
/** A published checkpoint has 172 million parameters. */
const PUBLISHED = 172_000_000;
const tables = openTables(['training-published'], {
  write: options.write,
  settings: { '--keep': [options.keep, false] },
  needs: { 'a checkpoint of the published size': parameters > PUBLISHED },
});
// Random weights as training begins with: others may give logits of any size, and a loss that is not smooth anywhere near.
const source = { ...read, tensors: await initialWeights(read.tensors, read.config, 1) };
const [height, width, textLength, targets] = [800, 1333, 256, 8];
const weights = { class: 1, box: 5, giou: 2 };
const loss = { matching: weights, loss: weights, recompute: !options.keep, labels: 1, distillation: 1e-9 };
// Learning from a teacher, if only by so little, fixes which proposals become queries: the loss jumps where they change places.
const models = await buildStepModels(source, { batch: 1, height, width, textLength, targets, groups: 0 }, loss);

let state = 1;
const random = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 32;
};
const rows = targets + 1;
const tokens = Array.from({ length: textLength }, (_, i) =>
  i === 0 ? 101 : i === textLength - 1 ? 102 : i % 3 === 0 ? 1012 : 2000 + (i % 500),
);
const positive = new Float32Array(rows * textLength);
for (let row = 0; row < targets; row++)
  positive.fill(1, row * textLength + 3 * row + 1, row * textLength + 3 * row + 3);
const feeds = {
  images: tensor(
    Uint8Array.from({ length: height * width * 3 }, () => random() * 256),
    [1, height, width, 3],
  ),
  image_sizes: integers([height, width], [1, 2]),
  input_ids: integers(tokens, [1, textLength]),
  attention_mask: integers(new Array(textLength).fill(1), [1, textLength]),
  target_boxes: floats(
    Float32Array.from({ length: rows * 4 }, (_, i) => (i % 4 < 2 ? 0.2 + 0.6 * random() : 0.05 + 0.2 * random())),
    [1, rows, 4],
  ),
  target_tokens: floats(positive, [1, rows, textLength]),
  target_count: floats(Float32Array.of(targets), []),
};
const batches = { get: async () => ({ feeds, counts: [targets] }) };
const settings = {
  steps: 3,
  accumulate: 1,
  schedule: { kind: 'constant', max: 1e-30 },
  groups: { weightDecay: 0, backboneRate: 1, scaleRate: 1 },
  optimizer: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, clipNorm: 1, averageDecay: 0 },
  warmUp: 0,
  freezeScales: 0,
};
const trainer = await Trainer.create(models, source.tensors, batches, settings, { lowMemory: true });
const time = async (step) => {
  const start = performance.now();
  const report = await trainer.step(step);
  process.stderr.write(
    `step ${step}: ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(1)} GB at most, ${(process.memoryUsage.rss() / 2 ** 30).toFixed(1)} GB now\n`,
  );
  return { ...report, seconds: (performance.now() - start) / 1000 };
};
const first = await time(1);
const peak = process.resourceUsage().maxRSS / 2 ** 20;
const gradient = trainer.store.gradients.slice();
const block = trainer.store.blocks.weights;
const initial = block.slice();
const lossAt = async (shift, step) => {
  for (let i = 0; i < block.length; i++) block[i] = initial[i] + (shift * gradient[i]) / first.gradientNorm;
  return (await time(step)).loss;
};
// Small steps are lost in the rounding of the weights, and large ones are wrong by the curvature of the loss.
const slopes = {};
for (const share of [1e-2, 3e-3]) {
  const h = (share * first.loss) / first.gradientNorm;
  slopes[share] = ((await lossAt(h, 2)) - (await lossAt(-h, 3))) / (2 * h) / first.gradientNorm;
}
console.log(
  JSON.stringify({
    parameters: initial.length,
    loss: first.loss,
    finite: gradient.every(Number.isFinite),
    gradientNorm: first.gradientNorm,
    slopeOverNorm: slopes,
    seconds: first.seconds,
    peakGigabytesOfAStep: peak,
  }),
);
const [seconds, gigabytes] = [first.seconds.toFixed(0), ((peak * 2 ** 30) / 1e9).toFixed(1)];
// Weights, gradients, the two moments of AdamW and the moving average are floats of four bytes each.
const held = ((5 * 4 * initial.length) / 1e9).toFixed(1);
const apart = Math.min(...Object.values(slopes).map((slope) => Math.abs(slope - 1)));
tables.text(
  'training-published',
  `The step takes ${seconds} s on ${availableParallelism()} cores, and at most ${gigabytes} GB; of these, ${held} GB are the weights, the gradients, the two ` +
    `moments of AdamW\nand the moving average. ${gradient.every(Number.isFinite) ? 'All gradients are finite' : 'Some gradients are not finite'}, and the slope of ` +
    `the loss along the gradient is its norm to ${(100 * apart).toFixed(1)} %.`,
);
tables.finish();
process.exit(0);
