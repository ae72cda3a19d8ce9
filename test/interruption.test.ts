/**
 * A signal ends every command, whatever its thread does. How long that takes is measured by bench/interruption.mjs: a test
 * must not depend on how busy the machine is.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { blockedAt, entry, run, runAndSignal } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const calib = join(packageRoot, 'assets/shapes/calib');
const val = join(packageRoot, 'assets/shapes/val');
const picture = join(val, '000082.jpg');
let folder: string;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-interruption-'));
  await writeFile(at('boxes.json'), '[]');
});
afterAll(() => rm(folder, { recursive: true }));

/** The arguments of each command that works long; its results go to `output`. */
const COMMANDS: Readonly<Record<string, (output: string) => string[]>> = {
  convert: (output) => ['convert', nano, '-o', `${output}.onnx`],
  quantize: (output) => ['quantize', nano, '--recipe', 'dynamic', '-o', `${output}.onnx`],
  calibrate: (output) => ['calibrate', nano, calib, '-o', `${output}.json`],
  specialize: (output) => ['specialize', nano, '--height', '256', '--width', '256', '-o', `${output}.onnx`],
  export: (output) => [
    ...['export', nano, '--target', 'tensorrt', '--tensorrt', '8.6', '--sizes', '192x256'],
    ...['--phrases', 'red circle', '-o', output],
  ],
  tune: (output) => ['tune', nano, val, '--calibration', calib, '-o', `${output}.yaml`],
  compress: (output) => ['compress', nano, val, '-o', output],
  eval: (output) => ['eval', nano, val, '-o', `${output}.json`],
  score: (output) => ['score', at('boxes.json'), val, '-o', `${output}.json`],
  measure: () => ['measure', nano, picture, '--phrases', 'red circle'],
  compare: () => ['compare', nano, nano, picture],
  sensitivity: () => ['sensitivity', nano, val],
  inspect: () => ['inspect', nano],
  lint: () => ['lint', nano],
  detect: (output) => ['detect', picture, '--phrases', 'red circle', '--model', nano, '--out', `${output}.png`],
  train: (output) => ['train', nano, calib, '-o', output],
  qat: (output) => ['qat', nano, calib, '-o', `${output}.onnx`],
};

/** Files that a command opens early: those of the model, boxes, and pictures. */
const EARLY = /nano|boxes\.json|\.jpg$/;

describe.skipIf(process.platform === 'win32')('a command whose thread does not listen', () => {
  test.each(Object.entries(COMMANDS))(
    '%s ends with the code of the signal and one sentence, and leaves nothing',
    async (name, of) => {
      const signal = name.length % 2 === 0 ? 'SIGINT' : 'SIGTERM';
      const output = at(`of-${name}`);
      const { code, stderr } = await runAndSignal(signal, /BLOCKED/, blockedAt(EARLY), of(output));
      expect(code, stderr).toBe(signal === 'SIGINT' ? 130 : 143);
      expect(stderr).toMatch(/dino8: interrupted; .*\.\n$/);
      expect((await readdir(folder)).filter((file) => /\.(tmp|onnx|png)$/.test(file))).toEqual([]);
    },
  );
});

describe.skipIf(process.platform !== 'linux')('two processes', () => {
  test('the work ends with its parent, even if the parent is killed', async () => {
    const started = runAndSignal('SIGKILL', /BLOCKED/, blockedAt(EARLY), ['inspect', nano]);
    // The streams of the child close when both processes are gone: `run` resolves only then.
    expect((await started).code).toBe(-1);
  });

  test('work that the system ends is reported in a sentence that names memory', async () => {
    const script = `import fs from 'node:fs'; import { syncBuiltinESMExports } from 'node:module';
      fs.promises.open = () => process.kill(process.pid, 'SIGKILL'); syncBuiltinESMExports();`;
    const first = ['--import', `data:text/javascript,${encodeURIComponent(script)}`, entry];
    const { code, stderr } = await run(['inspect', nano], process.execPath, first);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^\ndino8: the system ended the work \(SIGKILL\), .*memory.*--threads.*\.\n$/);
  });
});

test('what is said to be kept is there', async () => {
  const output = at('statistics.json');
  const args = ['calibrate', nano, calib, '-o', output];
  const early = await runAndSignal('SIGTERM', /BLOCKED/, blockedAt(EARLY), args);
  expect(early.stderr).toMatch(/starts anew/);
  const late = await runAndSignal(
    'SIGTERM',
    /BLOCKED/,
    blockedAt(/statistics\.json\.partial.*\.tmp$|000005\.jpg$/),
    args,
  );
  expect(late.stderr).toMatch(existsSync(`${output}.partial`) ? /continues there/ : /starts anew/);
});
