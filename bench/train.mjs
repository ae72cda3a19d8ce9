// A training step of the bundled model, batch 12 at 192x256, beside the same in PyTorch: in turns, each in a process of its
// own, on two threads.
//
//   PYTHON=…/bin/python npm run bench:train [-- --write]      a Python that has torch and transformers; --write puts the table into
//                                                            docs/training.md
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { quantile } from './statistics.mjs';
import { openTables, readArguments } from './write-table.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, '..');
const [nano, calib] = [join(root, 'assets/nano'), join(root, 'assets/shapes/calib')];
const python = process.env.PYTHON;
const ROUNDS = 3;
const STEPS = '8';
const BATCH = '12';
const { values: options } = readArguments();
const tables = openTables(['training-step'], {
  write: options.write,
  needs: { 'PYTHON, a Python that has torch and transformers': existsSync(python ?? '') },
});

const contenders = ['64', '128'].flatMap((tokens) => {
  const ours = (name, ...recipe) => ({
    name: `dino8 ${name}, ${tokens} tokens`,
    tokens,
    command: [process.execPath, join(here, 'train-contender.mjs'), nano, calib, calib, BATCH, tokens, STEPS, ...recipe],
  });
  const theirs = {
    name: `PyTorch FP32, ${tokens} tokens`,
    tokens,
    command: [
      python,
      join(here, 'peers/train_step_hf.py'),
      nano,
      '--batch',
      BATCH,
      '--tokens',
      tokens,
      '--steps',
      STEPS,
    ],
  };
  return [ours('FP32'), ours('`full` with fake quantization', 'full'), ...(python ? [theirs] : [])];
});
if (!python)
  console.log('PyTorch is left out: set PYTHON to a Python that has torch and transformers to compare with it.');

const times = contenders.map(() => []);
const peaks = contenders.map(() => 0);
for (let round = 0; round < ROUNDS; round++)
  for (const [index, { name, command }] of contenders.entries()) {
    const [program, ...args] = command;
    const output = execFileSync(program, args, { stdio: ['ignore', 'pipe', 'ignore'], maxBuffer: 1 << 28 }).toString();
    const { milliseconds, peakMegabytes } = JSON.parse(output.trim().split('\n').at(-1));
    times[index].push(...milliseconds);
    peaks[index] = Math.max(peaks[index], peakMegabytes);
    process.stderr.write(`round ${round + 1}/${ROUNDS} ${name}: ${quantile(milliseconds, 0.5).toFixed(0)} ms\n`);
  }

const rows = contenders.map(({ name, tokens }, index) => {
  const reference = contenders.findIndex((each) => each.tokens === tokens && each.name.startsWith('PyTorch'));
  const median = quantile(times[index], 0.5);
  return {
    name,
    median: `${Math.round(median)} ms`,
    '10 % … 90 %': [0.1, 0.9].map((share) => Math.round(quantile(times[index], share))).join(' … '),
    'time / PyTorch': reference < 0 ? '–' : (median / quantile(times[reference], 0.5)).toFixed(2),
    'peak memory': `${Math.round(peaks[index]).toLocaleString('en-US')} MB`,
  };
});
console.log(
  `${cpus()[0].model.trim()}, 2 threads, ${ROUNDS} processes of ${STEPS} steps each, batch ${BATCH}, 192x256`,
);
tables.table(
  'training-step',
  ['', ...Object.keys(rows[0]).slice(1)],
  rows.map((row) => Object.values(row)),
);
mkdirSync(join(here, 'results'), { recursive: true });
writeFileSync(join(here, 'results/train.json'), `${JSON.stringify(rows, undefined, 2)}\n`);
tables.finish();
