/** A model in two parts computes what the undivided model does, and its first part only for inputs that are new. */
import { afterEach, expect, test, vi } from 'vitest';
import { GraphBuilder } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { splitOffInputs } from '../onnx/split-off-inputs.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { noise } from '../testing/noise.ts';
import { CachingRunner } from './caching-runner.ts';
import { RuntimeError } from './error.ts';
import { type Feeds, Session } from './session.ts';
import { booleans, floatData, floats } from './tensor.ts';

afterEach(() => vi.restoreAllMocks());

/** y = x + log(the number of valid columns up to this one), where `mask` says which are valid. */
function countingModel(): Model {
  const b = new GraphBuilder('counting');
  const x = b.input('x', DataType.FLOAT, ['rows', 'columns']);
  const mask = b.input('mask', DataType.BOOL, ['columns']);
  const counts = b.log(b.cumsum(b.cast(mask, DataType.FLOAT), 0));
  b.output('y', b.add(x, counts));
  return b.finish();
}

/** The model undivided and in two parts, and the runs of the first part. */
async function open(capacity: number) {
  const model = countingModel();
  const parts = splitOffInputs(model, ['mask']);
  if (!parts) throw new Error('a part of the model depends on the mask alone');
  const load = (part: Model) => Session.create(modelBytes(part), {}, 'the model');
  const [whole, first, second] = await Promise.all([model, parts.first, parts.second].map(load));
  if (!whole || !first || !second) throw new Error('three models were loaded');
  const runner = new CachingRunner(first, second, { inputs: ['x', 'mask'], capacity });
  const close = async () => {
    await Promise.all([runner.close(), whole.close()]);
  };
  return { whole, first, second, runner, runs: vi.spyOn(first, 'run'), [Symbol.asyncDispose]: close };
}

const feeds = (valid: readonly number[], seed = 1): Feeds => ({
  x: floats(noise(2 * valid.length, seed), [2, valid.length]),
  mask: booleans(Uint8Array.from(valid), [valid.length]),
});

test('results are those of the undivided model for each mask, of the same size too, and a mask is computed once', async () => {
  await using models = await open(4);
  const masks = [
    [1, 1, 1, 1],
    [1, 1, 0, 0],
    [1, 0, 1],
  ];
  for (const round of [1, 2, 3])
    for (const mask of masks) {
      const given = feeds(mask, round);
      using expected = await models.whole.run(given);
      using found = await models.runner.run(given);
      expect(floatData(found.get('y'))).toEqual(floatData(expected.get('y')));
      expect(found.names).toEqual(expected.names);
    }
  expect(models.runs).toHaveBeenCalledTimes(masks.length);
});

test('a mask that the caller changes afterwards is another one', async () => {
  await using models = await open(4);
  const valid = Uint8Array.of(1, 1, 1);
  const given = { ...feeds([1, 1, 1]), mask: booleans(valid, [3]) };
  (await models.runner.run(given)).dispose();
  valid.set([1, 0, 0]);
  using expected = await models.whole.run(given);
  using found = await models.runner.run(given);
  expect(floatData(found.get('y'))).toEqual(floatData(expected.get('y')));
});

test('what was not used for longest is forgotten, and its memory freed', async () => {
  await using models = await open(2);
  const run = async (columns: number) => (await models.runner.run(feeds(new Array(columns).fill(1)))).dispose();
  await run(1);
  const kept = await models.runs.mock.results[0]?.value;
  await run(2);
  await run(1);
  await run(3); // in the place of 2
  await run(1);
  expect(models.runs).toHaveBeenCalledTimes(3);
  await run(2); // in the place of 3
  expect(models.runs).toHaveBeenCalledTimes(4);
  const [name = ''] = models.first.outputs.keys();
  expect(floatData(kept.get(name))).toHaveLength(1);
  await run(3); // in the place of 1
  expect(() => kept.handle(name)).toThrow(/was freed/);
});

test('runs that begin together compute a new mask once, and hold what they need', async () => {
  await using models = await open(1);
  const masks = [1, 1, 2, 2, 1, 1].map((columns) => new Array(columns).fill(1));
  const found = await Promise.all(masks.map((mask, seed) => models.runner.run(feeds(mask, seed))));
  for (const [seed, mask] of masks.entries()) {
    using expected = await models.whole.run(feeds(mask, seed));
    expect(floatData(found[seed]?.get('y') ?? floats(new Float32Array(), [0]))).toEqual(floatData(expected.get('y')));
  }
  expect(models.runs).toHaveBeenCalledTimes(3);
  for (const each of found) each.dispose();
});

test('a failure is not kept', async () => {
  await using models = await open(4);
  models.runs.mockRejectedValueOnce(new RuntimeError('no memory'));
  const both = [models.runner.run(feeds([1, 1])), models.runner.run(feeds([1, 1]))];
  for (const { status } of await Promise.allSettled(both)) expect(status).toBe('rejected');
  (await models.runner.run(feeds([1, 1]))).dispose();
  expect(models.runs).toHaveBeenCalledTimes(2);
});

test('a signal stops a run', async () => {
  await using models = await open(4);
  const reason = new Error('enough');
  await expect(models.runner.run(feeds([1, 1]), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(models.runs).not.toHaveBeenCalled();
  const controller = new AbortController();
  const running = models.runner.run(feeds([1, 1]), { signal: controller.signal });
  controller.abort(reason);
  await expect(running).rejects.toBe(reason);
});

test('inputs that the undivided model refuses are refused in the same words, and so is a run after closing', async () => {
  await using models = await open(4);
  const given = feeds([1, 1]);
  const { x, mask } = given;
  if (!x || !mask) throw new Error('both are given');
  expect([...models.runner.inputs]).toEqual([...models.whole.inputs]);
  const wrong: Feeds[] = [
    { x },
    { mask },
    { x, mask, y: x },
    { x, mask: x },
    { x, mask: booleans(Uint8Array.of(1), [1, 1]) },
  ];
  const messageOf = (run: Promise<unknown>) =>
    run.then(
      () => 'no error',
      (error: Error) => error.message,
    );
  for (const inputs of wrong) {
    const expected = await messageOf(models.whole.run(inputs));
    expect(expected).toMatch(/^the model /);
    expect(await messageOf(models.runner.run(inputs))).toBe(expected);
  }
  const failure = await messageOf(models.runner.run({ x, mask: booleans(new Uint8Array(3).fill(1), [3]) }));
  expect(failure).toMatch(/^the model failed on x FLOAT\[2, 2\]/);
  const last = models.runner.run(given);
  await models.runner.close();
  (await last).dispose();
  await models.whole.close();
  expect(await messageOf(models.runner.run(given))).toBe(await messageOf(models.whole.run(given)));
});
