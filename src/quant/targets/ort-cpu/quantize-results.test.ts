/** Operators that write bytes compute what the operators and the QuantizeLinear behind them do. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deformableAttentionFunction } from '../../../models/grounding-dino/deformable-attention.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { ADD, DEFORMABLE_ATTENTION, DOMAIN, QUANTIZED } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floats, integers } from '../../../runtime/tensor.ts';
import { hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { quantizeResults } from './quantize-results.ts';

/** The values that a model quantizes: scale 1/16 and zero point 120. */
function quantize(b: GraphBuilder, value: Value, name: string, zeroPoint = 120): void {
  const scale = b.initializer(makeTensor(`${name}.scale`, [], Float32Array.of(2 ** -4)));
  const zero = b.initializer(makeTensor(`${name}.zero`, [], Uint8Array.of(zeroPoint)));
  const [bytes] = b.call('', 'QuantizeLinear', [value, scale, zero]);
  if (bytes) b.output(name, b.reshape(bytes, [-1]));
}

type Shape = readonly number[];

/** a + b, whose dimensions but the last are known when it runs; `isRead` is true if the sum is an output too. */
function sum(aShape: Shape, bShape: Shape, isRead: boolean): Model {
  const b = new GraphBuilder('sum');
  const input = (name: string, shape: Shape) =>
    b.input(name, DataType.FLOAT, [...shape.slice(0, -1).map(() => undefined), shape.at(-1)]);
  const total = b.add(input('a', aShape), input('b', bShape));
  quantize(b, total, 'bytes');
  if (isRead) b.output('sum', total);
  return b.finish();
}

const sizeOf = (shape: Shape) => shape.reduce((product, size) => product * size, 1);
const random = (shape: Shape, seed: number) =>
  floats(
    noise(sizeOf(shape), seed).map((value) => 8 * value),
    [...shape],
  );

function rewritten(model: Model): Model {
  const copy = copyModel(model);
  expect(quantizeResults(copy)).toBe(1);
  return copy;
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<number[][]> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return outputs.names.map((name) => [...outputs.get(name).data].map(Number));
}

const variants = [
  ['the bodies', {}],
  ['the kernels', withKernels],
] as const;

describe.each(variants)('by %s', (_, options) => {
  test('a sum is quantized as by separate operators, whatever its shapes, and can be read as floats too', async () => {
    const dimension = fc.integer({ min: 0, max: 5 });
    const shapes = fc.record({
      shape: fc.array(dimension, { minLength: 0, maxLength: 3 }),
      isRepeated: fc.array(fc.boolean(), { minLength: 3, maxLength: 3 }),
      left: fc.integer({ min: 0, max: 3 }),
      columns: fc.constantFrom(1, 3, 16, 67),
      isRead: fc.boolean(),
      seed: fc.integer(),
    });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ shape, isRepeated, left, columns, isRead, seed }) => {
        const a = [...shape, columns];
        const b = [...shape.map((size, axis) => (isRepeated[axis] ? 1 : size)).slice(left), columns];
        const model = sum(a, b, isRead);
        const feeds = { a: random(a, seed), b: random(b, seed + 1) };
        expect(await run(rewritten(model), feeds, options)).toEqual(await run(model, feeds));
      }),
      { numRuns: 30 },
    );
  });

  test('a large sum is one of many parts', async () => {
    const model = sum([700, 131], [700, 131], false);
    const feeds = { a: random([700, 131], 1), b: random([700, 131], 2) };
    expect(await run(rewritten(model), feeds, options)).toEqual(await run(model, feeds));
  });

  test('numbers of any size become the lowest and the highest byte', async () => {
    const model = sum([6], [6], false);
    const odd = Float32Array.of(Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38, -3e38, 1e-45, 1e9);
    const feeds = { a: floats(odd, [6]), b: floats(odd, [6]) };
    expect(await run(rewritten(model), feeds, options)).toEqual([[255, 0, 255, 0, 120, 255]]);
  });

  test('deformable attention writes the bytes of its result', async () => {
    const b = new GraphBuilder('attention');
    b.define(deformableAttentionFunction(1));
    const inputs = {
      value: floats(noise(6 * 2 * 20, 1), [1, 6, 2, 20]),
      value_scale: floats(Float32Array.of(4), []),
      value_zero_point: floats(Float32Array.of(0.5), []),
      spatial_shapes: integers([2, 3], [1, 2]),
      reference_points: floats(noise(40 * 2, 2), [1, 40, 1, 2]),
      offset_scale: floats(Float32Array.of(0.3, 0.2), [1, 1, 1, 2]),
      sampling_offsets: floats(noise(40 * 2 * 3 * 2, 3), [1, 40, 2, 1, 3, 2]),
      attention_logits: floats(noise(40 * 2 * 3, 4), [1, 40, 2, 3]),
    };
    const values = Object.entries(inputs).map(([name, { type, shape }]) => b.input(name, type, shape));
    const [result] = b.call(DOMAIN, DEFORMABLE_ATTENTION, values);
    if (result) quantize(b, result, 'bytes');
    const model = b.finish();
    const [found = []] = await run(rewritten(model), inputs, options);
    const [expected = []] = await run(model, inputs);
    expect(found).toHaveLength(40 * 40);
    expect(Math.max(...found.map((byte, at) => Math.abs(byte - (expected[at] ?? 0))))).toBeLessThanOrEqual(1);
    // Sums in another order round only a few numbers the other way.
    expect(found.filter((byte, at) => byte !== expected[at]).length).toBeLessThan(5);
  });
});

test.runIf(hasKernels)('the kernel runs in place of the body', async () => {
  const profile = await profileRun(modelBytes(rewritten(sum([4, 3], [4, 3], true))), withKernels, {
    a: random([4, 3], 1),
    b: random([4, 3], 2),
  });
  expect(profile.map(({ operator }) => operator)).toEqual([`${ADD}${QUANTIZED}`, 'Reshape']);
});

test('of two quantizations of one result the first one is taken, and the other one reads the floats', async () => {
  const b = new GraphBuilder('two');
  const total = b.add(b.input('a', DataType.FLOAT, [8]), b.input('b', DataType.FLOAT, [8]));
  quantize(b, total, 'bytes');
  quantize(b, total, 'other', 20);
  const model = b.finish();
  const feeds = { a: random([8], 1), b: random([8], 2) };
  const changed = rewritten(model);
  const operators = changed.graph.node.map(({ opType }) => opType).filter((opType) => opType !== 'Identity');
  expect(operators).toEqual([`${ADD}${QUANTIZED}`, 'Reshape', 'QuantizeLinear', 'Reshape']);
  expect(await run(changed, feeds)).toEqual(await run(model, feeds));
});

test('a quantization with computed parameters stays', () => {
  const b = new GraphBuilder('computed');
  const total = b.add(b.input('a', DataType.FLOAT, [8]), b.input('b', DataType.FLOAT, [8]));
  const [bytes] = b.call('', 'QuantizeLinear', [
    total,
    b.input('scale', DataType.FLOAT, []),
    b.input('zero', DataType.UINT8, []),
  ]);
  if (bytes) b.output('bytes', bytes);
  expect(quantizeResults(b.finish())).toBe(0);
});
