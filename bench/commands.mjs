// The commands of dino8 on the bundled model, each with little work: what bench/interruption.mjs and bench/kills.mjs run.
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeToy } from './toy-model.mjs';

const root = join(fileURLToPath(new URL('.', import.meta.url)), '..');
export const entry = join(root, 'dist/cli.mjs');
const nano = join(root, 'assets/nano');
export const calib = join(root, 'assets/shapes/calib');
export const val = join(root, 'assets/shapes/val');
const picture = join(val, '000082.jpg');

const detections = join(root, 'test/fixtures/golden/coco/crowds_detections.json');
const truth = join(root, 'test/fixtures/golden/coco/crowds_ground_truth.json');

/** Options that make a training short. */
const SHORT = ['--batch', '2', '--images', '8', '--text-length', '32', '--steps', '4', '--checkpoint-minutes', '0'];

/** Options that make a compression short. */
const BRIEF = [
  '--recipes',
  'dynamic',
  '--set-aside',
  '0.02',
  '--images',
  '4',
  '--calibration-images',
  '4',
  '--runs',
  '1',
];

/** The arguments of a command that judges the network of toy-model.mjs with its inputs. */
const calibrated = ({ model, inputs }) => [model, inputs, '--recipe', 'generic', '--calibration', inputs];

/** Writes what commands need beside the bundled data into a folder: the network of toy-model.mjs with its inputs, and scores. */
export async function writeInputs(folder) {
  const scores = join(folder, 'scores.json');
  execFileSync(process.execPath, [entry, ...WRITING.score(scores.replace(/\.json$/, ''))]);
  return { ...(await writeToy(folder)), scores };
}

/**
 * The arguments of each command that writes; everything that it writes is in or at `output`. `model` is a checkpoint; the last
 * argument is what `writeInputs` returned.
 */
export const WRITING = {
  convert: (output, model = nano) => ['convert', model, '-o', `${output}.onnx`],
  halves: (output, model = nano) => ['convert', model, '-o', output],
  folder: (output, model = nano) => ['convert', model, '--combined', '-o', output],
  quantize: (output, model = nano) => ['quantize', model, '--recipe', 'dynamic', '-o', `${output}.onnx`],
  calibrate: (output, model = nano) => ['calibrate', model, calib, '--images', '6', '-o', `${output}.json`],
  specialize: (output, model = nano) => [
    'specialize',
    model,
    '--height',
    '256',
    '--width',
    '256',
    '-o',
    `${output}.onnx`,
  ],
  eval: (output, model = nano) => ['eval', model, val, '--images', '6', '-o', `${output}.json`],
  detections: (output, model = nano) => ['eval', model, val, '--images', '6', '--save-detections', `${output}.json`],
  score: (output) => ['score', detections, truth, '-o', `${output}.json`],
  errors: (output) => ['errors', detections, truth, '-o', `${output}.json`],
  vocabulary: (output, model = nano) => [
    'vocabulary',
    model,
    val,
    '--images',
    '4',
    '--unseen',
    'red circle',
    '-o',
    `${output}.json`,
  ],
  contribution: (output, model = nano) => [
    'contribution',
    model,
    val,
    '--images',
    '2',
    '--rounds',
    '0',
    '--recipe',
    'dynamic',
    '-o',
    `${output}.json`,
  ],
  export: (output, model = nano) => [
    'export',
    model,
    '--target',
    'tensorrt',
    '--tensorrt',
    '10.3',
    '--sizes',
    '64',
    '--phrases',
    'red circle',
    '-o',
    output,
  ],
  inspect: (output, model = nano) => ['inspect', model, '--report', `${output}.html`],
  compare: (output, model = nano) => [
    'compare',
    model,
    model,
    val,
    '--images',
    '2',
    '--no-accuracy',
    '--report',
    `${output}.html`,
  ],
  // These two measure each layer in turn, so they get a model of a few.
  sensitivity: (output, _, toy) => [
    'sensitivity',
    ...calibrated(toy),
    '-o',
    `${output}.json`,
    '--report',
    `${output}.html`,
  ],
  tune: (output, _, toy) => ['tune', ...calibrated(toy), '-o', `${output}.yaml`],
  report: (output, _, { scores }) => ['report', scores, '-o', `${output}.html`],
  demo: (output) => ['demo', '--quick', '--images', '2', '--out', output, '--report', join(output, 'report.html')],
  compress: (output, model = nano) => ['compress', model, val, ...BRIEF, '-o', output],
  detect: (output, model = nano) => [
    'detect',
    picture,
    '--phrases',
    'red circle',
    '--model',
    model,
    '--out',
    `${output}.png`,
  ],
  train: (output, model = nano) => ['train', model, calib, '-o', output, ...SHORT],
  qat: (output, model = nano) => ['qat', model, calib, '--recipe', 'dynamic', '-o', `${output}.onnx`, ...SHORT],
};

/** The commands that only read. */
export const READING = {
  measure: () => ['measure', nano, picture, '--phrases', 'red circle', '--runs', '50'],
  lint: () => ['lint', nano],
};

/** The value of an option such as `--minutes 5` of this process, as a number. */
export function numberOption(name, standard) {
  const index = process.argv.indexOf(`--${name}`);
  const value = index < 0 ? standard : Number(process.argv[index + 1]);
  if (!(value > 0)) throw new Error(`--${name} must be a positive number.`);
  return value;
}

/** Random numbers from 0 to 1 that are the same for the same seed (mulberry32). */
export function seededRandom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
