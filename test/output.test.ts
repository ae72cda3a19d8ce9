/** A command whose standard output is closed or full ends with one sentence, or silently, and with the code of a failure. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { COMMANDS } from '../src/cli/commands.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { entry } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const val = join(packageRoot, 'assets/shapes/val');
const labels = join(packageRoot, 'assets/shapes/annotations/instances_val.json');
let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-output-'));
  await writeFile(at('boxes.json'), '[]');
  await writeSmallCheckpoint(at('small'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs a command by a shell, which redirects its output. */
function shell(redirected: string, args: readonly string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn('bash', ['-c', `set -o pipefail; "$0" "$@" ${redirected}`, process.execPath, entry, ...args]);
    let stderr = '';
    child.stderr.on('data', (piece) => {
      stderr += piece;
    });
    child.stdout.resume();
    child.once('close', (code) => resolve({ code, stderr }));
  });
}

/** Commands that print, of which each takes a second. */
const PRINTING: Readonly<Record<string, () => string[]>> = {
  inspect: () => ['inspect', at('small'), '--json'],
  detect: () => ['detect', join(val, '000082.jpg'), '--phrases', 'red circle', '--model', nano, '--json'],
  score: () => ['score', at('boxes.json'), labels, '--images', '5'],
  errors: () => ['errors', at('boxes.json'), labels, '--images', '5'],
  quantize: () => ['quantize', at('small'), '--recipe', 'dynamic', '--explain'],
  doctor: () => ['doctor'],
  overview: () => ['--help'],
  version: () => ['--version'],
  convert: () => ['convert', at('small'), '-o', at('small.onnx')],
};

describe.skipIf(!existsSync('/dev/full'))('the standard output', () => {
  test.each(Object.entries(PRINTING))('of %s is full', async (_, of) => {
    const { code, stderr } = await shell('> /dev/full', of());
    expect(code, stderr).toBe(1);
    expect(stderr.split('\n').at(-2)).toBe('dino8: the standard output cannot be written: the disk is full.');
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test.each(Object.entries(PRINTING).filter((_, at) => at % 2 === 1))('of %s has no reader', async (_, of) => {
    const { code, stderr } = await shell('| true', of());
    // A little text may be in the pipe before its reader has gone.
    expect([0, 141], stderr).toContain(code);
    expect(stderr).not.toMatch(/^\s+at |EPIPE/m);
  });

  // All commands print their help by the same program.
  test.each(COMMANDS.map(({ name }) => name).filter((_, at) => at % 5 === 0))(
    'of the help of %s is full',
    async (name) => {
      const { code, stderr } = await shell('> /dev/full', [name, '--help']);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: 'dino8: the standard output cannot be written: the disk is full.\n',
      });
    },
  );

  test('is a result that does not fit', async () => {
    const { code, stderr } = await shell('', ['score', at('boxes.json'), labels, '--images', '5', '-o', '/dev/full']);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /dino8: \/dev\/full was not written because the disk is full; free some space and try again\.\n$/,
    );
  });

  test('and the standard error may both be full', async () => {
    const { code } = await shell('> /dev/full 2>&1', ['inspect', nano]);
    expect(code).toBe(1);
  });
});
