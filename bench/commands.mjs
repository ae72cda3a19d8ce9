// The commands that work long, on the bundled model: what bench/interruption.mjs and bench/kills.mjs run.
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(fileURLToPath(new URL('.', import.meta.url)), '..');
export const entry = join(root, 'dist/cli.mjs');
const nano = join(root, 'assets/nano');
const calib = join(root, 'assets/shapes/calib');
const val = join(root, 'assets/shapes/val');
const picture = join(val, '000082.jpg');

/** Options that make a training short. */
const SHORT = ['--batch', '2', '--images', '8', '--text-length', '32', '--steps', '4', '--checkpoint-minutes', '0'];

/** The arguments of each command that writes; everything that it writes is in or at `output`. */
export const WRITING = {
  convert: (output) => ['convert', nano, '-o', `${output}.onnx`],
  halves: (output) => ['convert', nano, '-o', output],
  folder: (output) => ['convert', nano, '--combined', '-o', output],
  quantize: (output) => ['quantize', nano, '--recipe', 'dynamic', '-o', `${output}.onnx`],
  calibrate: (output) => ['calibrate', nano, calib, '--images', '12', '-o', `${output}.json`],
  specialize: (output) => ['specialize', nano, '--height', '256', '--width', '256', '-o', `${output}.onnx`],
  eval: (output) => ['eval', nano, val, '--images', '12', '-o', `${output}.json`],
  sensitivity: (output) => ['sensitivity', nano, val, '--images', '2', '--recipe', 'dynamic', '-o', `${output}.json`],
  detect: (output) => ['detect', picture, '--phrases', 'red circle', '--model', nano, '--out', `${output}.png`],
  train: (output) => ['train', nano, calib, '-o', output, ...SHORT],
  qat: (output) => ['qat', nano, calib, '-o', `${output}.onnx`, ...SHORT],
};

/** The commands that only read. */
export const READING = {
  measure: () => ['measure', nano, picture, '--phrases', 'red circle', '--runs', '50'],
  compare: () => ['compare', nano, nano, picture],
  inspect: () => ['inspect', nano],
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
