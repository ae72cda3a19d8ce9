/** The end of a training and the weights that are kept, with scores that the test gives instead of measuring them. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { UsageError } from '../base/errors.ts';
import type { CocoDataset } from '../data/coco.ts';
import type { Training } from './create-training.ts';
import { BLOCKS } from './parameter-store.ts';
import { bestScore, type RunOptions, runTraining } from './run-training.ts';

/** The average precision of each score that is asked for, one after the other. */
let scores: number[];
vi.mock('../detect/detector.ts', () => ({ Detector: { create: async () => ({ async [Symbol.asyncDispose]() {} }) } }));
vi.mock('../evaluate/score-dataset.ts', () => ({
  scoreDataset: async () => ({ figures: { AP: (scores.shift() ?? 0) / 100, AP50: 0 }, images: 1 }),
}));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dino8-run-'));
});
afterEach(() => rm(directory, { recursive: true }));

/** A training whose steps only count. */
function training(steps: number): Training {
  const blocks = Object.fromEntries(BLOCKS.map((name) => [name, new Float32Array(2)]));
  const step = async (number: number) => ({
    step: number,
    loss: 1,
    parts: { class: 1, box: 1, giou: 1 },
    rate: 1,
    gradientNorm: 1,
  });
  const parts = { trainer: { store: { blocks }, step }, settings: { steps }, stepsPerEpoch: 2, imagesPerStep: 1 };
  return { ...parts, key: { steps, seed: 0 }, package: async () => ({}) } as unknown as Training; // what a run uses of it
}

async function run(steps: number, options: Partial<RunOptions> = {}) {
  const kept: string[] = [];
  const lengths: number[] = [];
  let done = 0;
  const result = await runTraining(training(steps), {
    directory,
    onStep: ({ step }) => {
      done = step;
    },
    keep: async (name) => {
      kept.push(`${name} ${done}`);
    },
    onLog: async (log) => {
      lengths.push(log.length);
    },
    ...options,
  });
  return { ...result, kept, lengths };
}

const validation = { dataset: {} as CocoDataset, every: 1 }; // it is not read

test('the best weights are written at each score above all before, the last at each save', async () => {
  scores = [10, 12, 11, 12, 30];
  const { kept, finished, log, lengths } = await run(4, { validation, checkpointMinutes: 0 });
  expect(kept).toEqual(['last 1', 'best 1', 'last 2', 'last 3', 'last 4', 'best 4']);
  expect(finished).toBe(4);
  expect(bestScore(log)).toMatchObject({ step: 4, AP: 30 });
  expect(lengths.at(-1)).toBe(9); // five scores and four steps
});

test('best weights are never those of a step that the state is behind', async () => {
  scores = [10, 12, 30];
  const stop = new Error('killed');
  const keep = async (name: string) => {
    if (name === 'best') throw stop;
  };
  await expect(run(4, { validation, keep })).rejects.toBe(stop);
  // The state is at the step of the score, which is measured again.
  scores = [12];
  const again = await run(4, { validation, finish: true });
  expect([again.resumedAt, again.kept]).toEqual([1, ['last 0', 'best 0']]); // no step in this run
  expect(bestScore(again.log)).toMatchObject({ step: 1, AP: 12 });
});

test('patience without scores is refused', async () => {
  await expect(run(2, { patience: 3 })).rejects.toThrow(/`patience` has no effect without `validation`/);
  await expect(run(2, { validation, patience: 0 })).rejects.toThrow(UsageError);
});

test('of equal scores the first is the best', async () => {
  scores = [0, 5, 5];
  expect(bestScore((await run(2, { validation })).log)).toMatchObject({ step: 1 });
});

test('a training without improvement ends when its patience does, also if it was interrupted in between', async () => {
  scores = [10, 20, 15, 18, 19, 40];
  expect((await run(6, { validation, patience: 3 })).finished).toBe(4);
  // It stays ended.
  const again = await run(6, { validation, patience: 3 });
  expect([again.finished, again.resumedAt, scores]).toEqual([4, 4, [40]]);
  scores = [40];
  const further = await run(6, { validation, patience: 4 });
  expect([further.finished, further.kept]).toEqual([6, ['last 5', 'best 5', 'last 6']]);
});

test('an interrupted training is finished where it is, or goes on longer than planned if that is asked for', async () => {
  const nowhere = join(directory, 'new');
  await expect(run(4, { finish: true, directory: nowhere })).rejects.toThrow(/new has no state of a training/);
  expect(existsSync(nowhere)).toBe(false);
  const stop = new AbortController();
  const interrupt = { onStep: ({ step }: { step: number }) => step === 2 && stop.abort(new Error('stopped')) };
  const keep = vi.fn(async () => undefined);
  await expect(run(4, { signal: stop.signal, keep, ...interrupt } as Partial<RunOptions>)).rejects.toThrow('stopped');
  expect(keep).not.toHaveBeenCalled(); // an interruption does not wait for them
  expect(await run(4, { finish: true })).toMatchObject({ finished: 2, resumedAt: 2 });
  await expect(run(6)).rejects.toThrow(/a training of 4 steps, and 6 are asked for; .* set `longer`/);
  await expect(run(1, { longer: true })).rejects.toThrow(/at step 2, beyond the 1 that are asked for/);
  expect(await run(6, { longer: true })).toMatchObject({ finished: 6, resumedAt: 2 });
  // The state is that of the longer training now.
  expect(await run(6)).toMatchObject({ finished: 6, resumedAt: 6 });
});

test('scores of other validation images are not compared', async () => {
  scores = [10, 20, 30];
  const labelled = (width: number) =>
    ({ images: [{ id: 1, file_name: 'a.jpg', width, height: 2 }] }) as unknown as CocoDataset;
  await run(2, { validation: { dataset: labelled(1), every: 1 } });
  const again = (dataset: CocoDataset) => run(3, { longer: true, validation: { dataset, every: 1 } });
  await expect(again(labelled(3))).rejects.toThrow(/log\.jsonl has scores of other validation images/);
  scores = [40];
  expect((await again(labelled(1))).finished).toBe(3);
});
