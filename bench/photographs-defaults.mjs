// Trains the bundled model on real photographs as one does who sets no option of the training: `train`, and then `qat` of what it
// wrote, both with what they choose by themselves. Scores the FP32 model, INT8 by calibration alone and INT8 after the training
// with the rounding in place on photographs that no training has seen. --write puts the table into docs/training.md. The photographs
// are those of bench/photographs.mjs, which has a control too: FP32 after the same further training. What a run before has made is
// kept, so an interrupted run continues.
//
//   node bench/photographs-defaults.mjs BCCD_FOLDER [OUTPUT_FOLDER] [--write]      (SEEDS=1; about 12 minutes a seed on 2 cores)
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootstrapScores } from '../dist/evaluate.mjs';
import { readDataset } from '../dist/index.mjs';
import { points, signed } from './figures.mjs';
import { keepIn } from './kept.mjs';
import { dino8, matchesOf, root, seedsHeading, seedsRow } from './seeds.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const { values: options, positionals } = readArguments();
const [photographs, output = join(root, '.dino8', 'photographs-defaults')] = positionals;
if (!photographs) misuse('usage: node bench/photographs-defaults.mjs BCCD_FOLDER [OUTPUT_FOLDER] [--write]');
const seeds = Array.from({ length: Number(process.env.SEEDS ?? 1) }, (_, seed) => seed);
const tables = openTables(['photographs-defaults', 'photographs-defaults-steps'], {
  write: options.write,
  settings: { SEEDS: [seeds.length, 1] },
});
keepIn(output, ['photographs-defaults']);
const nano = join(root, 'assets', 'nano');

/** Makes the forms of one seed. Beside paths, the split and the seed, no command has an option. */
function formsOf(seed) {
  const folder = join(output, `seed-${seed}`);
  mkdirSync(folder, { recursive: true });
  const at = (name) => join(folder, name);
  const data = [photographs, '--split', 'train', '--seed', seed];
  const statistics = ['--statistics', at('statistics.json')];
  dino8(at('fp32/model.safetensors'), 'train', nano, ...data, '-o', at('fp32'));
  dino8(at('statistics.json'), 'calibrate', at('fp32'), ...data, '-o', at('statistics.json'));
  dino8(at('calibrated.onnx'), 'quantize', at('fp32'), ...statistics, '-o', at('calibrated.onnx'));
  dino8(at('qat.onnx'), 'qat', at('fp32'), ...data, ...statistics, '-o', at('qat.onnx'));
  return [at('fp32'), at('calibrated.onnx'), at('qat.onnx')];
}

const test = await readDataset(photographs, { split: 'test' });
const [untrained] = await matchesOf(nano, test);
const [before] = await bootstrapScores([untrained]);
const rows = [];
for (const seed of seeds) {
  const matches = [];
  for (const model of formsOf(seed)) matches.push(...(await matchesOf(model, test)));
  const [fp32, calibrated, qat] = await bootstrapScores(matches);
  const [, gain] = await bootstrapScores(matches.slice(1));
  rows.push({ fp32, calibrated, qat, gain });
}
const row = (label, format, of) => seedsRow({ label, format, estimates: rows.map(of) });
tables.table(
  'photographs-defaults',
  seedsHeading(`AP on ${test.images.length} photographs, all by default`, seeds.length),
  [
    row('before training', points, () => before.figures.AP),
    row('FP32 by `train`', points, ({ fp32 }) => fp32.figures.AP),
    row('INT8 (`mixed`), calibrated', points, ({ calibrated }) => calibrated.figures.AP),
    row('change against FP32', signed, ({ calibrated }) => calibrated.change.figures.AP),
    row('INT8 (`mixed`) by `qat`', points, ({ qat }) => qat.figures.AP),
    row('change against calibrated', signed, ({ gain }) => gain.change.figures.AP),
    row('change against FP32', signed, ({ qat }) => qat.change.figures.AP),
  ],
);
/** The steps that a training took, by its log. */
function stepsOf(log) {
  const lines = readFileSync(join(output, 'seed-0', log), 'utf8')
    .trim()
    .split('\n');
  return Math.max(...lines.map((line) => JSON.parse(line).step ?? 0));
}
tables.text(
  'photographs-defaults-steps',
  `\`train\` took ${stepsOf('fp32/log.jsonl')} steps, and \`qat\` ${stepsOf('qat.onnx.training/log.jsonl')} steps from what \`train\` wrote. AP is of the ` +
    `${test.images.length} photographs of the test, and the\nintervals are of these photographs; it is ${seeds.length === 1 ? 'one seed' : `${seeds.length} seeds`}.`,
);
tables.finish();
