import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../onnx/builder.ts';
import { parseModel, readModel } from '../onnx/read.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { noise } from '../testing/noise.ts';
import { RuntimeError } from './error.ts';
import { Session } from './session.ts';
import { floatData, floats, integers, type Tensor, tensor } from './tensor.ts';

/** y = x · x, for a square matrix of any size, and the sum of y. */
function squareModel(): Uint8Array {
  const b = new GraphBuilder('square');
  const x = b.input('x', DataType.FLOAT, ['n', 'n']);
  const y = b.matmul(x, x);
  b.output('y', y);
  b.output('sum', b.reduceSum(y, [0, 1], false));
  return modelBytes(b.finish());
}

const identity = (n: number): Tensor =>
  floats(
    Float32Array.from({ length: n * n }, (_, index) => (index % (n + 1) === 0 ? 2 : 0)),
    [n, n],
  );

describe('a session', () => {
  test('runs with dynamic shapes and tells its signature', async () => {
    await using session = await Session.create(squareModel(), {}, 'square');
    expect([...session.inputs]).toEqual([['x', { type: DataType.FLOAT, shape: ['n', 'n'] }]]);
    for (const n of [1, 3, 5]) {
      using outputs = await session.run({ x: identity(n) });
      expect(outputs.get('y').shape).toEqual([n, n]);
      expect(floatData(outputs.get('sum'))[0]).toBe(4 * n);
    }
  });

  test('computes only the outputs that were asked for', async () => {
    await using session = await Session.create(squareModel());
    using outputs = await session.run({ x: identity(2) }, { outputs: ['sum'] });
    expect(outputs.names).toEqual(['sum']);
  });

  test('outputs are empty after they are disposed of', async () => {
    await using session = await Session.create(squareModel());
    const outputs = await session.run({ x: identity(3) });
    const { data } = outputs.get('y');
    expect(data.length).toBe(9);
    outputs.dispose();
    expect(data.length).toBe(0);
  });

  test('runs off the main thread: timers fire during a run', async () => {
    await using session = await Session.create(squareModel(), { threads: 1 });
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    // On a busy machine a run can be over before this thread is scheduled again, but not every time. On the main thread
    // no timer would fire during any of them.
    for (let attempt = 0; attempt < 100 && ticks === 0; attempt++) (await session.run({ x: identity(1200) })).dispose();
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });

  test('several sessions run at once', async () => {
    const sessions = await Promise.all([1, 2, 3].map(() => Session.create(squareModel())));
    const sums = await Promise.all(
      sessions.map(async (session, index) => {
        using outputs = await session.run({ x: identity(index + 2) });
        return floatData(outputs.get('sum'))[0];
      }),
    );
    expect(sums).toEqual([8, 12, 16]);
    await Promise.all(sessions.map((session) => session.close()));
  });

  test('a signal stops a run', async () => {
    await using session = await Session.create(squareModel(), { threads: 1 });
    await expect(session.run({ x: identity(8) }, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
  });

  test('closing waits for the runs under way', async () => {
    const session = await Session.create(squareModel());
    const run = session.run({ x: identity(600) });
    await session.close();
    using outputs = await run;
    expect(floatData(outputs.get('sum'))[0]).toBe(2400);
    await expect(session.run({ x: identity(2) })).rejects.toThrow('closed');
  });

  test.each([
    ['a missing input', {}, /needs the input x/],
    ['an unknown input', { x: identity(2), z: identity(2) }, /has no input z/],
    ['a wrong type', { x: tensor(new Int32Array(4), [2, 2]) }, /takes x as FLOAT\[n, n\] and was given INT32\[2, 2\]/],
    ['a wrong rank', { x: floats(new Float32Array(4), [4]) }, /was given FLOAT\[4\]/],
    [
      'shapes that a node refuses',
      { x: floats(new Float32Array(6), [2, 3]) },
      /square failed on x FLOAT\[2, 3\]: .*MatMul/,
    ],
  ])('%s is a one-sentence error', async (_, feeds, message) => {
    await using session = await Session.create(squareModel(), {}, 'square');
    const failure = await session.run(feeds).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(RuntimeError);
    expect(String(failure)).toMatch(message);
    expect(String(failure)).not.toContain('\n');
  });

  test('a provider that is not there is a one-sentence error', async () => {
    await expect(Session.create(squareModel(), { providers: ['tensorrt'] })).rejects.toThrow(
      /^The execution provider tensorrt is not .*; install/,
    );
  });

  test('takes config entries, and writes the optimized graph where it is asked to', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dino8-session-'));
    const optimizedModelPath = join(folder, 'optimized.onnx');
    const config = { 'session.disable_prepacking': '1' };
    await using session = await Session.create(squareModel(), { optimizedModelPath, config, optimization: 'extended' });
    using outputs = await session.run({ x: identity(3) });
    expect(floatData(outputs.get('sum'))[0]).toBe(12);
    const optimized = await readModel(optimizedModelPath);
    expect(optimized.graph.node.map((node) => node.opType)).toContain('MatMul');
    // From a file, as from bytes.
    await using again = await Session.create(optimizedModelPath, { memoryArena: false });
    using same = await again.run({ x: identity(3) });
    expect(floatData(same.get('sum'))[0]).toBe(12);
  });

  test('reads the large weights of a model in memory where they are', async () => {
    const b = new GraphBuilder('table');
    const weights = Float32Array.from({ length: 1024 }, (_, index) => index);
    b.output('y', b.gather(b.constant(weights, [1024]), b.input('index', DataType.INT64, [1]), 0));
    const model = b.finish();
    await using session = await Session.create(model);
    const read = async (index: number) => {
      using outputs = await session.run({ index: integers([index], [1]) });
      return floatData(outputs.get('y'))[0];
    };
    expect(await read(7)).toBe(7);
    model.graph.initializer.find(({ rawData }) => rawData.length === weights.byteLength)?.rawData.fill(0);
    expect(await read(7)).toBe(0);
  });

  test('a model in memory computes what its bytes compute, for weights at any address', async () => {
    // The optimizer moves the transposes together and transposes the constant that is added.
    const b = new GraphBuilder('product');
    const x = b.input('x', DataType.FLOAT, [64, 64]);
    const product = b.matmul(x, b.constant(noise(64 * 64, 1), [64, 64]));
    const shifted = b.add(b.transpose(product, [1, 0]), b.constant(noise(64 * 64, 3), [64, 64]));
    b.output('y', b.transpose(shifted, [1, 0]));
    const bytes = modelBytes(b.finish());
    const feeds = { x: floats(noise(64 * 64, 2), [64, 64]) };
    await using expected = await Session.create(bytes);
    using reference = await expected.run(feeds);
    for (const shift of [0, 1, 2, 3]) {
      const moved = new Uint8Array(bytes.length + shift);
      moved.set(bytes, shift);
      await using session = await Session.create(parseModel(moved.subarray(shift), 'product'));
      using outputs = await session.run(feeds);
      expect(floatData(outputs.get('y'))).toEqual(floatData(reference.get('y')));
    }
  });

  test('bytes that are no model are refused', async () => {
    await expect(Session.create(new Uint8Array(100), {}, 'noise')).rejects.toThrow(/^noise does not load: /);
  });

  test('does not leak over 10,000 runs', async () => {
    await using session = await Session.create(squareModel(), { threads: 1 });
    const x = identity(64);
    const runs = async (count: number) => {
      for (let index = 0; index < count; index++) (await session.run({ x })).dispose();
      globalThis.gc?.();
      await delay(10);
      return residentBytes();
    };
    const before = await runs(1000);
    const after = await runs(10_000);
    // Half of what a leak of the outputs would be.
    expect(after - before).toBeLessThan((10_000 * 64 * 64 * Float32Array.BYTES_PER_ELEMENT) / 2);
  });
});

function residentBytes(): number {
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1]);
  return pages * 4096;
}
