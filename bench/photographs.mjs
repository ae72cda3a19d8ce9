// Trains the bundled model on real photographs, those of blood cells in the data set BCCD (github.com/Shenggan/BCCD_Dataset, MIT
// licence), and scores its forms on photographs that no training has seen. For each of three seeds: training in FP32, INT8 by
// calibration alone, INT8 after training with the rounding in place, and, as its control, FP32 after the same further training.
// The settings were chosen on the validation photographs; the table is of the test photographs. --write puts the table and the curves into
// docs/training.md and docs/images. What a run before has made is kept, so an interrupted run continues.
//
//   node bench/photographs.mjs BCCD_FOLDER [OUTPUT_FOLDER] [--write]      (SEEDS=3; about 40 minutes on 2 cores)
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as Plot from '@observablehq/plot';
import { parseHTML } from 'linkedom';
import sharp from 'sharp';
import { bootstrapScores } from '../dist/evaluate.mjs';
import { readDataset } from '../dist/index.mjs';
import { points, signed } from './figures.mjs';
import { keepIn } from './kept.mjs';
import { dino8, matchesOf, root, seedsHeading, seedsRow } from './seeds.mjs';
import { misuse, openTables, readArguments } from './write-table.mjs';

const { values: options, positionals } = readArguments();
const [photographs, output = join(root, '.dino8', 'photographs')] = positionals;
if (!photographs) misuse('usage: node bench/photographs.mjs BCCD_FOLDER [OUTPUT_FOLDER] [--write]');
const SEEDS = Number(process.env.SEEDS ?? 3);
const tables = openTables(['photographs'], { write: options.write, settings: { SEEDS: [SEEDS, 3] } });
keepIn(output, ['photographs']);
const RECIPE = 'full';
const STEPS = 300;
const FURTHER_STEPS = 100;
// All rates are stated, so that the table does not change with the defaults.
const COMMON = ['--batch', '12', '--backbone-rate', '1', '--average-decay', '0.99', '--rise', '0'];
// Of a data set in Pascal VOC's layout, the split `val` is taken for validation.
const VALIDATE = ['--validate', photographs];

/** Makes the forms of one seed, and returns them with the curves of their trainings. */
function formsOf(seed) {
  const folder = join(output, `seed-${seed}`);
  mkdirSync(folder, { recursive: true });
  const at = (name) => join(folder, name);
  const trained = ['--split', 'train', ...COMMON, ...VALIDATE, '--seed', seed];
  const first = ['--steps', STEPS, '--learning-rate', '4e-4', '--validate-every', 50];
  const further = ['--steps', FURTHER_STEPS, '--learning-rate', '1e-4', '--validate-every', 25];
  const rounding = ['--statistics', at('statistics.json'), '--recipe', RECIPE];
  const scales = ['--scale-rate', '1'];
  dino8(
    at('fp32/model.safetensors'),
    ...['train', join(root, 'assets', 'nano'), photographs, ...trained, ...first, '-o', at('fp32')],
  );
  dino8(
    at('statistics.json'),
    ...['calibrate', at('fp32'), photographs, '--split', 'train', '--images', 128, '--recipe', RECIPE],
    ...['-o', at('statistics.json')],
  );
  dino8(at('calibrated.onnx'), 'quantize', at('fp32'), ...rounding, '-o', at('calibrated.onnx'));
  dino8(
    at('qat.onnx'),
    'qat',
    at('fp32'),
    photographs,
    ...rounding,
    ...trained,
    ...further,
    ...scales,
    '-o',
    at('qat.onnx'),
  );
  dino8(
    at('longer/model.safetensors'),
    ...['train', at('fp32'), photographs, ...trained, ...further, '-o', at('longer')],
  );
  return {
    models: { fp32: at('fp32'), calibrated: at('calibrated.onnx'), qat: at('qat.onnx'), longer: at('longer') },
    curves: [
      ...curveOf(at('fp32/log.jsonl'), 'FP32', seed, 0),
      ...curveOf(at('longer/log.jsonl'), 'FP32', seed, STEPS),
      ...curveOf(at('qat.onnx.training/log.jsonl'), 'INT8 with rounding', seed, STEPS),
    ],
  };
}

/** The validation scores of a training. */
function curveOf(log, name, seed, start) {
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
    .filter(({ kind }) => kind === 'score')
    .map(({ step, AP }) => ({ name, seed, step: start + step, AP }));
}

const test = await readDataset(photographs, { split: 'test' });
const [untrained] = await matchesOf(join(root, 'assets', 'nano'), test);
const [before] = await bootstrapScores([untrained]);
const rows = [];
const curves = [];
for (let seed = 0; seed < SEEDS; seed++) {
  const forms = formsOf(seed);
  curves.push(...forms.curves);
  const { fp32, calibrated, qat, longer } = forms.models;
  const matches = [];
  for (const model of [fp32, calibrated, longer, qat]) matches.push(...(await matchesOf(model, test)));
  const [float, int8] = await bootstrapScores([matches[0], matches[1]]);
  const [control, trained] = await bootstrapScores([matches[2], matches[3]]);
  const [, gain] = await bootstrapScores([matches[1], matches[3]]);
  rows.push({
    before: before.figures.AP,
    fp32: float.figures.AP,
    calibrated: int8.figures.AP,
    loss: int8.change.figures.AP,
    trained: trained.figures.AP,
    gain: gain.change.figures.AP,
    control: control.figures.AP,
    cost: trained.change.figures.AP,
  });
}
const columns = [
  ['before training', 'before', points],
  ['FP32', 'fp32', points],
  [`INT8 (\`${RECIPE}\`), calibrated`, 'calibrated', points],
  ['change against FP32', 'loss', signed],
  ['INT8, trained further', 'trained', points],
  ['change against calibrated', 'gain', signed],
  ['FP32, trained further', 'control', points],
  ['INT8 against FP32, both trained further', 'cost', signed],
];
tables.table(
  'photographs',
  seedsHeading(`AP on ${test.images.length} photographs`, SEEDS),
  columns.map(([label, key, format]) => seedsRow({ label, estimates: rows.map((row) => row[key]), format })),
);

const { document } = parseHTML('<!doctype html><html><body></body></html>');
const chart = Plot.plot({
  document,
  width: 720,
  height: 320,
  marginLeft: 44,
  marginBottom: 44,
  style: { background: 'white', fontSize: '13px' },
  x: { label: 'steps of 12 photographs', grid: true },
  y: {
    label: 'AP on the validation photographs',
    grid: true,
    domain: [0, Math.max(...curves.map(({ AP }) => AP)) + 2],
  },
  color: { domain: ['FP32', 'INT8 with rounding'], range: ['#64748b', '#c026d3'], legend: false },
  marks: [
    Plot.line(curves, {
      x: 'step',
      y: 'AP',
      stroke: 'name',
      z: ({ name, seed }) => `${name} ${seed}`,
      strokeWidth: 1.5,
    }),
    Plot.dot(curves, { x: 'step', y: 'AP', fill: 'name', r: 2.5 }),
    Plot.text(['FP32'], { frameAnchor: 'bottom-right', dy: -28, fill: '#64748b' }),
    Plot.text(['INT8 with rounding in training'], {
      frameAnchor: 'bottom-right',
      dy: -10,
      fill: '#c026d3',
    }),
  ],
});
const svg = chart.tagName.toLowerCase() === 'svg' ? chart : chart.querySelector('svg');
svg.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
const image = join(output, 'photographs.png');
await sharp(Buffer.from(svg.outerHTML), { density: 144 }).png({ palette: true }).toFile(image);
writeFileSync(
  join(output, 'photographs.json'),
  `${JSON.stringify({ before: before.figures.AP, rows, curves }, null, 1)}\n`,
);
console.log(`\n${image} has the curves.`);
if (options.write) copyFileSync(image, join(root, 'docs', 'images', 'photographs.png'));
tables.finish();
