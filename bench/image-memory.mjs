// The peak memory of commands that go through a data set, with few and with many images: it must not grow with their number.
//   node bench/image-memory.mjs [--few 32] [--many 256] [--only train,tune]
// A small checkpoint with small pictures makes room for what would grow: the labels and the boxes, which are kept, take some
// kilobytes an image, decoded pictures some hundred. Build first.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { calib, entry, numberOption, val } from './commands.mjs';
import { writeSmallCheckpoint } from './small-checkpoint.mjs';

const folder = mkdtempSync(join(tmpdir(), 'dino8-image-memory-'));
const small = join(folder, 'small');
await writeSmallCheckpoint(small);

/** The arguments of each command for a number of images and a path to write to. */
const COMMANDS = {
  calibrate: (images, output) => ['calibrate', small, calib, '--images', images, '-o', `${output}.json`],
  eval: (images, output) => ['eval', small, val, '--images', images, '-o', `${output}.json`],
  train: (images, output) => [
    'train',
    small,
    calib,
    '--images',
    images,
    '--steps',
    images / 2,
    ...TRAINING,
    '-o',
    output,
  ],
  qat: (images, output) => [
    'qat',
    small,
    calib,
    '--recipe',
    'dynamic',
    '--images',
    images,
    '--steps',
    images / 2,
    ...TRAINING,
    '-o',
    `${output}.onnx`,
  ],
  compress: (images, output) => ['compress', small, val, '--images', images, ...COMPRESSION(images), '-o', output],
  tune: (images, output) => ['tune', small, val, '--images', images, '--recipe', 'dynamic', '-o', `${output}.yaml`],
};
const TRAINING = ['--batch', 2, '--text-length', 32, '--checkpoint-minutes', 0];
const COMPRESSION = (images) => [
  '--recipes',
  'dynamic',
  '--set-aside',
  0.4,
  '--calibration-images',
  images / 2,
  '--runs',
  1,
];

/**
 * Makes each process of a command add its peak to a file when it ends. Garbage is collected at every eighth picture, so that
 * the peak does not depend on when V8 would have done so.
 */
const record = join(folder, 'peaks');
const preload = `
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  import { setFlagsFromString } from 'node:v8';
  import { runInNewContext } from 'node:vm';
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  const { open } = fs.promises;
  let pictures = 0;
  fs.promises.open = (path, ...rest) => {
    if (String(path).endsWith('.jpg') && ++pictures % 8 === 0) collect();
    return open(path, ...rest);
  };
  syncBuiltinESMExports();
  process.on('exit', () => {
    const status = process.platform === 'linux' ? fs.readFileSync('/proc/self/status', 'utf8') : '';
    const peak = /^VmHWM:\\s+(\\d+) kB$/m.exec(status)?.[1] ?? process.resourceUsage().maxRSS;
    fs.appendFileSync(${JSON.stringify(record)}, peak + '\\n');
  });`;
const environment = { ...process.env, NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(preload)}` };

function peakOf(args) {
  rmSync(record, { force: true });
  const { status, stderr } = spawnSync(process.execPath, [entry, ...args.map(String)], {
    encoding: 'utf8',
    env: environment,
  });
  if (status !== 0) throw new Error(`dino8 ${args.join(' ')} failed: ${stderr.slice(-2000)}`);
  return Math.max(...readFileSync(record, 'utf8').trim().split('\n').map(Number)) * 1024;
}

const [few, many] = [numberOption('few', 32), numberOption('many', 256)];
const { only } = parseArgs({ options: { only: { type: 'string' } }, strict: false }).values;
console.log(`| command | MB with ${few} images | MB with ${many} | kB for each more |`);
console.log('|---|---|---|---|');
for (const name of only ? only.split(',') : Object.keys(COMMANDS)) {
  const [least, most] = [few, many].map((images) => peakOf(COMMANDS[name](images, join(folder, `${name}-${images}`))));
  const each = (most - least) / (many - few) / 1000;
  console.log(`| \`${name}\` | ${(least / 1e6).toFixed(0)} | ${(most / 1e6).toFixed(0)} | ${each.toFixed(0)} |`);
}
rmSync(folder, { recursive: true });
