/** Training as a user meets it: killed, interrupted, gone astray, on a full disk. */
import { cp, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exists } from '../src/base/files.ts';
import { packageRoot } from '../src/base/package-root.ts';
import { readHuggingFace } from '../src/models/grounding-dino/checkpoint/hugging-face.ts';
import { writeSmallCheckpoint } from '../src/models/grounding-dino/testing/small-checkpoint.ts';
import { noise } from '../src/testing/noise.ts';
import { blockedAt, entry, type Moment, run, runAndSignal, runHere, signalledAt } from './run-cli.ts';

const images = join(packageRoot, 'assets/shapes/calib');
let folder: string;
let checkpoint: string;
const at = (...parts: string[]) => join(folder, ...parts);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-training-'));
  checkpoint = await writeSmallCheckpoint(at('checkpoint'));
});
afterAll(() => rm(folder, { recursive: true }));

const SHORT = ['--batch', '2', '--images', '12', '--text-length', '32', '--crop', '0.5', '--colour', '0.2'];
const training = (output: string, ...more: string[]) => ['train', checkpoint, images, '-o', output, ...SHORT, ...more];

const STATE = 'training-state.safetensors';
const STATE_FILE = /training-state\.safetensors$/;
const LOG = /log\.jsonl$/;

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

/**
 * Moments of each phase: while the checkpoint is loaded, while the models of a step are built, in steps, and in saves
 * before the new state is whole and before it takes the place of the old one. Where a time is given, in milliseconds, the
 * process is killed at a random moment up to so long after the call. bench/kills.mjs kills at many more moments.
 */
const PHASES: readonly (Moment & { readonly within?: number })[] = [
  { path: /checkpoint.model\.safetensors$/, count: 1 },
  { path: /\.jpg$/, count: 3, within: 100 },
  { path: LOG, calls: ['appendFile'], count: 2 },
  { path: STATE_FILE, calls: ['rename'], count: 2 },
  { path: /training-state.*\.tmp$/, calls: ['open'], count: 2, within: 15 },
];

describe('train', () => {
  const STEPS = ['--steps', '10', '--checkpoint-minutes', '0', '--accumulate', '2'];
  beforeAll(async () => {
    const whole = await runHere(training(at('whole'), ...STEPS));
    expect(whole.code, whole.stderr).toBe(0);
    expect(whole.stdout).toMatch(/10 steps/);
  });

  test('continues with the same bits after it was killed in every phase', async () => {
    const shares = noise(PHASES.length, 7).map((value) => (value + 1) / 2);
    for (const [attempt, { within, ...moment }] of PHASES.entries()) {
      const delay = within === undefined ? {} : { delay: within * (shares[attempt] ?? 0) };
      const killed = await run(
        training(at('killed'), ...STEPS),
        process.execPath,
        signalledAt('SIGKILL', { ...moment, ...delay }),
      );
      expect(killed.code, `${attempt}: ${killed.stderr}`).toBe(1);
      expect(killed.stderr).toMatch(/SIGKILL/);
      expect(await exists(at('killed', 'model.safetensors'))).toBe(false);
    }
    const last = await runHere(training(at('killed'), ...STEPS, '--json'));
    expect(last.code, last.stderr).toBe(0);
    expect(JSON.parse(last.stdout).resumedAt).toBeGreaterThan(0);
    expect(await curve(at('killed'))).toEqual(await curve(at('whole')));
    const bytes = (name: string) => readFile(at(name, 'model.safetensors'));
    expect((await bytes('killed')).equals(await bytes('whole'))).toBe(true);
  });

  test('writes a checkpoint, with a loss that is finite and changes', async () => {
    const { tensors } = await readHuggingFace(at('whole'));
    const before = await readHuggingFace(checkpoint);
    expect([...tensors.keys()].toSorted()).toEqual([...before.tensors.keys()].toSorted());
    const name = 'model.encoder.layers.0.deformable_layer.fc1.weight';
    expect(tensors.get(name)?.bytes).not.toEqual(before.tensors.get(name)?.bytes);
    const detected = await runHere(['eval', at('whole'), images, '--images', '4', '--json']);
    expect(detected.code, detected.stderr).toBe(0);
  });

  test('names the state of the last save at Ctrl-C in a step that takes too long', async () => {
    const args = training(at('slow'), '--steps', '1000', '--checkpoint-minutes', '0', '--report', at('slow.html'));
    // The report is written after the save of a step.
    const { code, stderr } = await runAndSignal('SIGINT', /BLOCKED/, blockedAt(/slow\.html/), args);
    expect(code, stderr).toBe(130);
    expect(await exists(at('slow', STATE))).toBe(true);
    const saved = (await curve(at('slow'))).length;
    expect(stderr).toMatch(
      new RegExp(
        `interrupted; the state after step ${saved} of 1000 is kept in \\S*slow, and the same command continues there\\.\n$`,
      ),
    );
  });

  test('saves the state at Ctrl-C, and refuses to continue it as another training', async () => {
    const args = training(at('stopped'), '--steps', '1000');
    const interrupted = await run(
      args,
      process.execPath,
      signalledAt('SIGINT', { path: LOG, calls: ['appendFile'], count: 2 }),
    );
    expect(interrupted.code, interrupted.stderr).toBe(130);
    expect(await exists(at('stopped', STATE))).toBe(true);
    const steps = (await curve(at('stopped'))).length;
    expect(steps).toBeGreaterThan(0);
    expect(interrupted.stderr).toMatch(
      new RegExp(`The state after step ${steps} of 1000 is saved. To go on: dino8 train .*--steps 1000\n`),
    );
    expect(interrupted.stderr).toMatch(/To end here and write the result: dino8 train .*--steps 1000 --finish\n/);
    const finished = await runHere([...args, '--finish', '--json']);
    expect(finished.code, finished.stderr).toBe(0);
    expect(JSON.parse(finished.stdout)).toMatchObject({ steps: 1000, finished: steps, resumedAt: steps });
    expect(await exists(at('stopped', 'model.safetensors'))).toBe(true);
    const longer = await runHere(training(at('stopped'), '--steps', '1001'));
    expect(longer).toMatchObject({ code: 1, stderr: expect.stringMatching(/set --longer to continue it/) });
    // What follows from the number of steps is not named in its place.
    expect(longer.stderr).not.toMatch(/averageDecay/);
    const other = await runHere(training(at('stopped'), '--steps', '1000', '--learning-rate', '1e-5'));
    expect(other).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /belongs to another training: the setting --learning-rate was 0\.00016 and is now 0\.00001/,
      ),
    });
    const damaged = await readFile(at('stopped', STATE));
    await writeFile(at('stopped', STATE), damaged.subarray(0, 1000));
    const refused = await runHere(args);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/training-state\.safetensors/);
    expect(refused.stderr).not.toMatch(/ at /);
  });

  test('stops at a loss that is not a number, and names the step, the place and the state to go back to', async () => {
    const { code, stderr } = await runHere(training(at('astray'), '--steps', '50', '--learning-rate', '1e18'));
    expect(code).toBe(1);
    expect(stderr).toMatch(/Step \d+: .*not a number.*(no step was saved|holds step)/s);
    expect(await exists(at('astray', 'model.safetensors'))).toBe(false);
  });

  test('reports a full disk and keeps the last good state', async () => {
    const args = training(at('full'), '--steps', '3', '--checkpoint-minutes', '0');
    await run(args, process.execPath, signalledAt('SIGKILL', { path: LOG, calls: ['appendFile'], count: 2 }));
    const before = await readFile(at('full', STATE));
    expect(before.length).toBeGreaterThan(10_240_000);
    // Files of at most 10 MB (the limit counts kilobytes), less than the state has.
    const script = `ulimit -f 10000; trap '' XFSZ; exec "$0" "$@"`;
    const refused = await run([process.execPath, entry, ...args], 'bash', ['-c', script]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/disk is full.*holds step 1/s);
    expect((await readFile(at('full', STATE))).equals(before)).toBe(true);
  });
});

describe('qat', () => {
  test('makes an INT8 model from statistics, with distillation, denoising and recomputation', async () => {
    const calibrated = await runHere(['calibrate', checkpoint, images, '--images', '4', '-o', at('statistics.json')]);
    expect(calibrated.code, calibrated.stderr).toBe(0);
    const args = [
      'qat',
      checkpoint,
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
    const result = await runHere([...args, ...more, ...score, ...curves]);
    expect(result.code, result.stderr).toBe(0);
    const described = JSON.parse(result.stdout);
    expect(described).toMatchObject({ output: at('qat.onnx'), recipe: 'mixed', steps: 4, resumedAt: 0 });
    expect(described.scores).toHaveLength(3);
    expect(described.bytes).toBeLessThan(0.7 * (await stat(join(checkpoint, 'model.safetensors'))).size);
    expect(await readFile(at('curves.html'), 'utf8')).toMatch(/Average precision/);
    const scored = await runHere(['eval', at('qat.onnx'), images, '--images', '3', '--json']);
    expect(scored.code, scored.stderr).toBe(0);
    const again = await runHere([...args, ...more, ...score, ...curves]);
    expect(JSON.parse(again.stdout)).toMatchObject({ resumedAt: 4 });
  });
});

describe('bad input is one sentence', () => {
  test.each([
    { args: ['train', 'nowhere', images, '-o', 'X'], code: 2, stderr: /nowhere does not exist/ },
    { args: ['train', 'CHECKPOINT', 'nowhere', '-o', 'X'], code: 2, stderr: /nowhere does not exist/ },
    {
      args: ['train', 'CHECKPOINT', images, '-o', 'X', '--learning-rate', 'fast'],
      code: 2,
      stderr: /--learning-rate must be/,
    },
    { args: ['train', 'CHECKPOINT', images, '-o', 'X', '--batch', '0'], code: 2, stderr: /--batch must be/ },
    { args: ['qat', 'MODEL', images, '-o', 'X.onnx'], code: 2, stderr: /is a built model; name the checkpoint/ },
    { args: ['qat', 'CHECKPOINT', images, '-o', 'X.onnx'], code: 2, stderr: /needs images to calibrate on/ },
    { args: ['qat', 'CHECKPOINT', images, '-o', 'X.onnx', '--recipe', 'none'], code: 2, stderr: /no recipe none/ },
    {
      args: ['train', 'CHECKPOINT', images, '-o', 'X', '--device', 'cuda'],
      code: 1,
      stderr: /execution provider cuda/,
    },
  ])('$args', async ({ args, code, stderr }) => {
    await writeFile(at('built.onnx'), 'the content is not read');
    const named: Record<string, string> = { CHECKPOINT: checkpoint, MODEL: at('built.onnx') };
    const result = await runHere(args.map((arg) => (arg.startsWith('X') ? at(arg) : (named[arg] ?? arg))));
    expect(result).toMatchObject({ code, stderr: expect.stringMatching(stderr) });
    expect(result.stderr.trim().split('\n').at(-1)).toMatch(/^dino8: /);
    expect(result.stderr).not.toMatch(/^\s+at /m);
  });

  test('weights on the way take the place of no checkpoint that the training starts from', async () => {
    const best = at('again', 'best');
    await cp(checkpoint, best, { recursive: true });
    const result = await runHere(['train', best, images, '-o', at('again')]);
    expect(result).toMatchObject({ code: 2, stderr: expect.stringMatching(/again\/best.*--overwrite/s) });
    expect(await exists(at('again', 'training-state.safetensors'))).toBe(false);
  });

  test('images without boxes are refused', async () => {
    await mkdir(at('empty'));
    await writeFile(at('empty', 'annotations.json'), '{"images":[],"annotations":[],"categories":[]}');
    const result = await runHere(['train', checkpoint, at('empty'), '-o', at('X')]);
    expect(result).toMatchObject({ code: 1, stderr: expect.stringMatching(/has no images/) });
  });
});
