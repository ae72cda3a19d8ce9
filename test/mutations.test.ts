/**
 * A sample of bench/mutations.mjs: changed files of every kind are opened as a user's program does, models among them are run,
 * and nothing but a result or a sentence comes of it. The script itself, which anyone can run, does millions of cases.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { run } from './run-cli.ts';

const script = join(packageRoot, 'bench/mutations.mjs');

test('mutated files of every kind are read or refused in a sentence', async () => {
  const findings = await mkdtemp(join(tmpdir(), 'dino8-findings-'));
  const args = ['--cases', '600', '--seed', '2026', '--findings', findings];
  const { code, stdout, stderr } = await run(args, process.execPath, [script]);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^600 cases, 0 findings/m);
  expect(code).toBe(0);
  await rm(findings, { recursive: true });
});

test('what is not a kind or a number is refused', async () => {
  expect(await run(['--kind', 'models'], process.execPath, [script])).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^There is no kind models; there are: float model, /),
  });
  expect(await run(['--cases', 'many'], process.execPath, [script])).toMatchObject({ code: 2 });
});
