/** On a platform for which a library has no build, dino8 says so in a sentence, and does what does not need it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { entry, run } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-platforms-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** The arguments of Node.js for a process in which packages load as `load(name, original)` says. */
function withLoader(load: string): string[] {
  const script = `
    import Module from 'node:module';
    const original = Module._load;
    Module._load = (name, ...rest) => (${load})(name, () => original(name, ...rest));`;
  return ['--import', `data:text/javascript,${encodeURIComponent(script)}`, entry];
}

/** What sharp, koffi and the system say on platforms without a build; advice about their own installation follows. */
const without = (name: string, message: string) =>
  withLoader(
    `(name, load) => { if (name === '${name}' || name.startsWith('@img/${name}-')) throw new Error(${JSON.stringify(message)}); return load(); }`,
  );
const noSharp = without(
  'sharp',
  'Could not load the "sharp" module using the linux-x64 runtime\nPossible solutions:\n',
);
const noKoffi = without('koffi', 'Cannot find the native Koffi module; did you bundle it correctly?');
const noRuntime = withLoader(
  `(name, load) => name !== 'koffi' ? load() : { ...load(), load: (path) => {
     if (String(path).includes('onnxruntime')) throw new Error('Error loading shared library ld-linux-x86-64.so.2: No such file');
     return load().load(path);
   } }`,
);

const platform = `${process.platform} ${process.arch}`;
const detect = ['detect', picture, '--phrases', 'red circle', '--model', nano];

describe('a library without a build for the platform', () => {
  test.each([
    [
      'sharp',
      noSharp,
      /^dino8: sharp, which reads and writes pictures, does not load on .*\(Could not load the "sharp"/,
    ],
    ['koffi', noKoffi, /^dino8: koffi, by which dino8 calls ONNX Runtime, does not load on .*\(Cannot find the native/],
    ['ONNX Runtime', noRuntime, /^dino8: ONNX Runtime does not load on .*\(Error loading shared library ld-linux/],
  ])('%s is named in one sentence, with the platform and what to do', async (_, first, sentence) => {
    const { code, stdout, stderr } = await run(detect, process.execPath, first);
    expect(stderr.trim()).toMatch(sentence);
    expect(stderr).toContain(platform);
    expect(stderr).toContain('install dino8');
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  });

  test('what does not need it works', async () => {
    expect(await run(['inspect', nano], process.execPath, noSharp)).toMatchObject({ code: 0, stderr: '' });
    expect(await run(['lint', '--help'], process.execPath, noKoffi)).toMatchObject({ code: 0, stderr: '' });
  });

  test('doctor says what does not load', async () => {
    const { code, stdout } = await run(['doctor', '--json'], process.execPath, noRuntime);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)['ONNX Runtime']).toMatch(/^ONNX Runtime does not load on /);
  });
});
