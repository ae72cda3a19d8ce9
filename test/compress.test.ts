/** `dino8 compress` as a user meets it: killed, interrupted, continued, and with another recipe. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../src/base/package-root.ts';
import { entry, run } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const validation = join(packageRoot, 'assets/shapes/val');
const calibration = join(packageRoot, 'assets/shapes/calib');
let folder: string;
let args: string[];
const at = (...parts: string[]) => join(folder, ...parts);

/** A recipe of one layer, so that quantizing takes no time. */
const recipe = (layer: number) => `description: One layer of the encoder.
rules:
  - match: 'model.encoder.layers.${layer}.deformable_layer.fc1'
    operators: [MatMul]
    treatment: static
`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-compress-'));
  await writeFile(at('one.yaml'), recipe(0));
  args = ['compress', nano, validation, '--calibration', calibration, '--calibration-images', '2', '--images', '12'];
  args.push('--recipes', at('one.yaml'), '--runs', '1', '-o', at('out'));
});

/** The names of the recorded steps, in the order in which they were done. */
async function steps(): Promise<string[]> {
  const text = await readFile(at('out/state/steps.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').slice(1, -1);
  return lines.map((line) => JSON.parse(line).step);
}

/** Starts the command, and sends the signal as soon as `isTime`. */
async function stopWhen(isTime: () => Promise<boolean>, signal: NodeJS.Signals) {
  const child: ChildProcess = spawn(process.execPath, [entry, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let heard = '';
  child.stderr?.on('data', (data: Buffer) => {
    heard += data.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  while (child.exitCode === null && !(await isTime())) await setTimeout(20);
  child.kill(signal);
  return { code: await ended, heard };
}

describe('compress', () => {
  test('continues at the step where it was killed or interrupted, and does nothing twice', async () => {
    const scored = async () => {
      const names = await readdir(at('out/state')).catch(() => []);
      const partial = names.find((name) => name.startsWith('score-'));
      return partial !== undefined && (await readFile(at('out/state', partial), 'utf8')).split('\n').length > 3;
    };
    await stopWhen(scored, 'SIGKILL');
    expect(await steps()).toEqual(['convert', 'calibrate', 'make one']);

    const interrupted = await stopWhen(async () => (await steps()).includes('score one'), 'SIGINT');
    expect(interrupted.code, interrupted.heard).toBe(130);
    expect(interrupted.heard).toMatch(/kept in .*out, and the same command continues there/);
    const before = await steps();

    const done = await run([...args, '--json']);
    expect(done.code, done.stderr).toBe(0);
    const after = await steps();
    expect(after.slice(0, before.length)).toEqual(before);
    expect(new Set(after).size).toBe(after.length);

    const results = JSON.parse(done.stdout);
    expect(results.variants.map(({ name }: { name: string }) => name)).toEqual(['FP32', 'one']);
    const { figures } = JSON.parse((await run(['eval', nano, validation, '--images', '12', '--json'])).stdout);
    expect(results.variants[0].figures).toEqual(figures);
    expect(JSON.parse(await readFile(at('out/results.json'), 'utf8'))).toEqual(results);
    expect(await readFile(at('out/report.html'), 'utf8')).toContain('One layer of the encoder.');
  });

  test('does again only the steps that a change concerns, and names the change', async () => {
    const before = await steps();
    await writeFile(at('one.yaml'), recipe(1));
    const changed = await run(args);
    expect(changed.code, changed.stderr).toBe(0);
    expect(changed.stderr).toMatch(/note: The step "make one" is done again, because "recipe" changed/);
    const again = (await steps()).slice(before.length);
    expect(again).toContain('score one');
    expect(again.filter((name) => name === 'convert' || name.includes('FP32'))).toEqual([]);
  });

  test.each([
    [['--calibration', validation], 2, /--calibration are those of the data set/],
    [['--split', '1.5'], 2, /--split must be a number from 0 to 1/],
    [['--recipes', 'none'], 2, /There is no recipe none/],
    [['--recipes', 'dynamic,dynamic'], 2, /name each recipe once/],
  ])('%j is refused in one sentence', async (extra, code, message) => {
    const refused = await run(['compress', nano, validation, '-o', at('none'), ...extra]);
    expect(refused.stderr).toMatch(message);
    expect(refused.code).toBe(code);
  });
});
