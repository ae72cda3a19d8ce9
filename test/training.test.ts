/** Training as a user meets it: killed, interrupted, gone astray, on a full disk. */
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exists } from '../src/base/files.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { readHuggingFace } from '../src/models/grounding-dino/checkpoint/hugging-face.ts';
import { noise } from '../src/testing/noise.ts';
import { entry, interruptedAt, run } from './run-cli.ts';

const nano = join(packageRoot, 'assets/nano');
const images = join(packageRoot, 'assets/shapes/calib');
let folder: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-training-'));
});
afterAll(() => rm(folder, { recursive: true }));

const SHORT = ['--batch', '2', '--images', '12', '--text-length', '32', '--crop', '0.5', '--colour', '0.2'];
const training = (output: string, ...more: string[]) => ['train', nano, images, '-o', output, ...SHORT, ...more];

const linesIn = async (path: string) => ((await exists(path)) ? (await readFile(path, 'utf8')).split('\n').length : 0);

interface Step {
  readonly kind: string;
  readonly step: number;
  readonly loss: number;
}

/** The steps of a log without what the clock says. */
async function curve(output: string): Promise<unknown[]> {
  const lines = (await readFile(join(output, 'log.jsonl'), 'utf8')).trim().split('\n');
  return lines.map((line) => {
    const { imagesPerSecond: _, ...step } = JSON.parse(line) as Step & { imagesPerSecond: number };
    return step;
  });
}

describe('train', () => {
  const STEPS = ['--steps', '40', '--checkpoint-minutes', '0', '--accumulate', '2'];
  beforeAll(async () => {
    const whole = await run(training(at('whole'), ...STEPS));
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stdout).toMatch(/40 steps/);
  });

  test('killed ten times at any moment, it goes on with the same numbers, to the bit', async () => {
    const log = at('killed', 'log.jsonl');
    for (const [attempt, moment] of noise(10, 7).entries()) {
      const child = spawn(process.execPath, [entry, ...training(at('killed'), ...STEPS)], { stdio: 'ignore' });
      const ended = new Promise<string | null>((resolve) => child.on('close', (_, signal) => resolve(signal)));
      // Every other time before it has begun or soon after, otherwise in the middle of a step or of a save.
      if (attempt % 2 === 0) await sleep(800 + 800 * moment);
      else {
        const before = await linesIn(log);
        while (child.exitCode === null && (await linesIn(log)) <= before) await sleep(10);
        await sleep(100 + 100 * moment);
      }
      child.kill('SIGKILL');
      // A machine that is fast enough has finished the training: then there is nothing left to kill.
      if ((await ended) === null) break;
    }
    const last = await run(training(at('killed'), ...STEPS));
    expect(last.code, last.stderr).toBe(0);
    expect(await curve(at('killed'))).toEqual(await curve(at('whole')));
    const bytes = (name: string) => readFile(at(name, 'model.safetensors'));
    expect((await bytes('killed')).equals(await bytes('whole'))).toBe(true);
  }, 1_800_000);

  test('its result is a checkpoint, and the loss is finite and different', async () => {
    const { tensors } = await readHuggingFace(at('whole'));
    const before = await readHuggingFace(nano);
    expect([...tensors.keys()].toSorted()).toEqual([...before.tensors.keys()].toSorted());
    const name = 'model.encoder.layers.0.deformable_layer.fc1.weight';
    expect(tensors.get(name)?.bytes).not.toEqual(before.tensors.get(name)?.bytes);
    const detected = await run(['eval', at('whole'), images, '--images', '4', '--json']);
    expect(detected.code, detected.stderr).toBe(0);
  });

  test('Ctrl-C saves the state at once, and another training is refused', async () => {
    const args = training(at('stopped'), '--steps', '1000');
    const interrupted = await run(args, process.execPath, interruptedAt('log.jsonl', 3));
    expect(interrupted.code, interrupted.stderr).toBe(130);
    expect(await exists(at('stopped', 'training-state.safetensors'))).toBe(true);
    const steps = (await curve(at('stopped'))).length;
    expect(steps).toBeGreaterThan(0);
    const other = await run(training(at('stopped'), '--steps', '1000', '--learning-rate', '1e-5'));
    expect(other).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /belongs to another training: the setting schedule\.max was 0\.0001 and is now 0\.00001/,
      ),
    });
    const damaged = await readFile(at('stopped', 'training-state.safetensors'));
    await writeFile(at('stopped', 'training-state.safetensors'), damaged.subarray(0, 1000));
    const refused = await run(args);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/training-state\.safetensors/);
    expect(refused.stderr).not.toMatch(/ at /);
  });

  test('a loss that is not a number names the step, the place and the state to go back to', async () => {
    const { code, stderr } = await run(training(at('astray'), '--steps', '50', '--learning-rate', '1e18'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/Step \d+: .*not a number.*(no step was saved|holds step)/s);
    expect(await exists(at('astray', 'model.safetensors'))).toBe(false);
  });

  test('on a full disk it says so and keeps the last good state', async () => {
    const first = await run(training(at('full'), '--steps', '2', '--checkpoint-minutes', '0'));
    expect(first.code, first.stderr).toBe(0);
    await rm(at('full', 'model.safetensors'));
    const before = await readFile(at('full', 'training-state.safetensors'));
    // Files of at most 20 MB (the limit counts kilobytes): the state has 35.
    const script = `ulimit -f 20000; trap '' XFSZ; exec "$0" "$@"`;
    const args = [process.execPath, entry, ...training(at('full2'), '--steps', '2', '--checkpoint-minutes', '0')];
    await mkdir(at('full2'));
    await cp(at('full', 'training-state.safetensors'), at('full2', 'kept'));
    const second = await run(args, 'bash', ['-c', script]);
    expect(second.code).toBe(1);
    expect(second.stderr).toMatch(/disk is full.*no step was saved yet/s);
    expect(await exists(at('full2', 'training-state.safetensors'))).toBe(false);
    expect(before.length).toBeGreaterThan(20_000_000);
  });
});

describe('qat', () => {
  test('from ranges to an INT8 model, with distillation, denoising and recomputation', async () => {
    const calibrated = await run(['calibrate', nano, images, '--images', '4', '-o', at('statistics.json')]);
    expect(calibrated.code, calibrated.stderr).toBe(0);
    const args = [
      'qat',
      nano,
      images,
      '--statistics',
      at('statistics.json'),
      '--recipe',
      'mixed',
      '-o',
      at('qat.onnx'),
      ...SHORT,
    ];
    const more = ['--steps', '4', '--warm-up', '1', '--freeze-scales', '3', '--distil', '0.5', '--denoising', '20'];
    const score = ['--validate', images, '--validate-images', '3', '--validate-every', '2'];
    const curves = ['--recompute', '--report', at('curves.html'), '--json'];
    const result = await run([...args, ...more, ...score, ...curves]);
    expect(result.code, result.stderr).toBe(0);
    const described = JSON.parse(result.stdout);
    expect(described).toMatchObject({ output: at('qat.onnx'), recipe: 'mixed', steps: 4, resumedAt: 0 });
    expect(described.scores).toHaveLength(3);
    expect(described.bytes).toBeLessThan(6e6);
    expect(await readFile(at('curves.html'), 'utf8')).toMatch(/Average precision/);
    const scored = await run(['eval', at('qat.onnx'), images, '--images', '3', '--json']);
    expect(scored.code, scored.stderr).toBe(0);
    const again = await run([...args, ...more, ...score, ...curves]);
    expect(JSON.parse(again.stdout)).toMatchObject({ resumedAt: 4 });
  });
});

describe('bad input is one sentence', () => {
  test.each([
    { args: ['train', 'nowhere', images, '-o', 'X'], code: 2, stderr: /nowhere does not exist/ },
    { args: ['train', nano, 'nowhere', '-o', 'X'], code: 2, stderr: /nowhere is not a directory/ },
    { args: ['train', nano, images, '-o', 'X', '--learning-rate', 'fast'], code: 2, stderr: /--learning-rate must be/ },
    { args: ['train', nano, images, '-o', 'X', '--batch', '0'], code: 2, stderr: /--batch must be/ },
    { args: ['qat', 'model.onnx', images, '-o', 'X.onnx'], code: 2, stderr: /is a built model; name the checkpoint/ },
    { args: ['qat', nano, images, '-o', 'X.onnx'], code: 2, stderr: /needs images to calibrate on/ },
    { args: ['qat', nano, images, '-o', 'X.onnx', '--recipe', 'none'], code: 2, stderr: /no recipe none/ },
    { args: ['train', nano, images, '-o', 'X', '--device', 'cuda'], code: 1, stderr: /execution provider cuda/ },
  ])('$args.3 $args.5 $args.6', async ({ args, code, stderr }) => {
    const result = await run(args.map((arg) => (arg.startsWith('X') ? at(arg) : arg)));
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(stderr) });
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  });

  test('images without boxes', async () => {
    await mkdir(at('empty'));
    await writeFile(at('empty', 'annotations.json'), '{"images":[],"annotations":[],"categories":[]}');
    const result = await run(['train', nano, at('empty'), '-o', at('X')]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/nothing to learn/) });
  });
});
