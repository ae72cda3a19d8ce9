/** Times that the test gives: how models take turns, and what ratios and ranges are made of them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { bench, summarize } from './bench-step.ts';

/** The medians in seconds of the processes of each model, in the order in which they are asked for. */
let times: Record<string, number[]>;
let order: string[];
vi.mock('./measure-step.ts', async (original) => ({
  ...(await original<typeof import('./measure-step.ts')>()),
  measureInChild: async ({ model, threads }: { model: string; threads: number }) => {
    order.push(basename(model));
    const medianSeconds = times[basename(model)]?.shift() ?? 0;
    return { medianSeconds, runSeconds: [medianSeconds], loadSeconds: 1, peakMemoryBytes: 1e6, threads };
  },
}));

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-bench-'));
  for (const name of ['a.onnx', 'b.onnx', 'image.jpg']) await writeFile(at(name), 'four');
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(() => {
  order = [];
});
const options = (rounds: number) => ({
  models: [at('a.onnx'), at('b.onnx')],
  image: at('image.jpg'),
  phrases: ['person'],
  rounds,
});

describe('bench', () => {
  test('takes the models in turns, and compares those of the same round', async () => {
    times = { 'a.onnx': [1, 4, 2], 'b.onnx': [0.5, 3, 1.8] };
    const { models, threads } = await bench({ ...options(3), threads: 2 });
    expect(order).toEqual(['a.onnx', 'b.onnx', 'a.onnx', 'b.onnx', 'a.onnx', 'b.onnx']);
    expect(threads).toBe(2);
    const [first, second] = models;
    expect(first).toMatchObject({ seconds: { median: 2, lowest: 1, highest: 4 }, ratio: undefined, bytes: 4 });
    // The medians are 2 and 1.8; the ratios of the rounds are 0.5, 0.75 and 0.9.
    expect(second?.ratio).toEqual({ median: 0.75, lowest: 0.5, highest: 0.9 });
    expect(second?.isDistinct).toBe(true);
  });

  test('does not call a difference one that the rounds do not agree on', async () => {
    times = { 'a.onnx': [1, 1], 'b.onnx': [0.5, 1.1] };
    expect((await bench(options(2))).models[1]?.isDistinct).toBe(false);
    times = { 'a.onnx': [1], 'b.onnx': [0.5] };
    expect((await bench(options(1))).models[1]?.isDistinct).toBe(false); // one round is no agreement
  });

  test('says that a machine is busy', async () => {
    times = {};
    const notices: string[] = [];
    const { loadBefore } = await bench({ ...options(1), onNotice: (sentence) => notices.push(sentence) });
    expect(notices.length).toBe(loadBefore > 0.5 ? 1 : 0);
  });

  test('refuses what it cannot measure before the first measurement', async () => {
    await expect(bench({ ...options(1), models: [] })).rejects.toThrow(/`models` names no model/);
    await expect(bench({ ...options(1), models: [at('a.onnx'), at('c.onnx')] })).rejects.toThrow(
      /c\.onnx does not exist/,
    );
    expect(order).toEqual([]);
  });

  test('the peak of the memory is the highest of all processes', () => {
    const one = { medianSeconds: 1, runSeconds: [1], loadSeconds: 1, threads: 1 };
    const measured = [3, 5, 4].map((peakMemoryBytes) => ({ ...one, peakMemoryBytes }));
    expect(summarize('a', 1, measured, undefined).peakMemoryBytes).toBe(5);
  });
});
