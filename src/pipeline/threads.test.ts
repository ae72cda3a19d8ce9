/** The threads of this process, as Linux lists them, show how many a session starts. */
import { existsSync, readdirSync } from 'node:fs';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { generic } from '../models/generic/family.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { listedSamples } from '../quant/observe/sample.ts';
import { Session } from '../runtime/session.ts';
import { floats } from '../runtime/tensor.ts';
import { withThreads } from '../runtime/threads.ts';
import { compare } from './compare-step.ts';

const TASKS = '/proc/self/task';
const countThreads = () => readdirSync(TASKS).length;

const b = new GraphBuilder('negative');
b.output('y', b.neg(b.input('x', DataType.FLOAT, [1])));
const model = b.finish();
const bytes = modelBytes(model);
const feeds = { x: floats(Float32Array.of(1), [1]) };

describe.skipIf(!existsSync(TASKS))('the number of threads', () => {
  beforeAll(async () => {
    // The first session and run start the threads of Node.js that later ones use.
    await using session = await Session.create(bytes, { threads: 1 });
    (await session.run(feeds)).dispose();
  });

  test.each([1, 3, 7])('applies to sessions that are made far below the call: %d', async (threads) => {
    const before = countThreads();
    // The calling thread is one of those that compute.
    const added = await withThreads(threads, async () => {
      await Promise.resolve();
      await using session = await Session.create(bytes);
      (await session.run(feeds)).dispose();
      return countThreads() - before;
    });
    expect(added).toBe(threads - 1);
  });

  test('is separate for two calls at the same time, and the option of a session has precedence', async () => {
    const before = countThreads();
    await using few = await withThreads(2, () => Session.create(bytes));
    await using many = await withThreads(5, () => Session.create(bytes, { threads: 3 }));
    expect(countThreads() - before).toBe(1 + 2);
    expect([few.name, many.name]).toHaveLength(2);
  });

  test('is that of the environment where nothing else states one', async () => {
    vi.stubEnv('DINO8_THREADS', '4');
    const before = countThreads();
    await using ofEnvironment = await Session.create(bytes);
    expect(countThreads() - before).toBe(3);
    await using stated = await Session.create(bytes, { threads: 2 });
    expect(countThreads() - before).toBe(3 + 1);
    expect([ofEnvironment.name, stated.name]).toHaveLength(2);
  });

  test('is an option of a step', async () => {
    const before = countThreads();
    const counts: number[] = [];
    const loaded = { source: 'negative.onnx', model, family: generic };
    await compare({
      model: loaded,
      quantized: loaded,
      dataset: listedSamples([{ place: 0, feeds }]),
      threads: 6,
      onProgress: ({ done }) => done === 0 && counts.push(countThreads() - before),
    });
    expect(counts).toEqual([5]);
  });
});

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each(['0', '1.5', 'many', '100000'])('DINO8_THREADS=%s is refused', async (value) => {
  vi.stubEnv('DINO8_THREADS', value);
  await expect(Session.create(bytes)).rejects.toThrow(
    `DINO8_THREADS must be a whole number from 1 to 1024, not "${value}"`,
  );
});

test.each([0, -1, 1.5, Number.NaN, 100_000])('%d threads are refused', async (threads) => {
  await expect(Session.create(bytes, { threads })).rejects.toThrow(/`threads` must be a whole number from 1 to 1024/);
  await expect(withThreads(threads, async () => 0)).rejects.toThrow(UsageError);
});
