/** The operator of attention of several heads, by its body and by the kernels, and the pass that places it. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { INTEGER_MULTI_HEAD_ATTENTION, MULTI_HEAD_ATTENTION, QUANTIZED } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floatData, floats, type Tensor } from '../../../runtime/tensor.ts';
import { largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseMultiHeadAttention } from './fuse-multi-head-attention.ts';
import { quantizeResults } from './quantize-results.ts';

interface Case {
  readonly batch: number;
  readonly queries: number;
  readonly keys: number;
  readonly heads: number;
  readonly size: number;
  /** The sizes of the bias: 1 where it is the same for all; undefined for none. */
  readonly bias?: readonly ('all' | 'one')[] | undefined;
  readonly masked: 'none' | 'some' | 'all';
  /** What is added to the score of a masked key. */
  readonly mask: number;
  /** The attention multiplies the products of queries and keys by this number. It is 0.3 by default. */
  readonly scale?: number;
  readonly seed: number;
}

const EXAMPLE: Case = {
  batch: 1,
  queries: 20,
  keys: 33,
  heads: 2,
  size: 8,
  bias: ['one', 'one', 'all', 'all'],
  masked: 'some',
  mask: -1e9,
  seed: 3,
};

const size = fc.constantFrom<'all' | 'one'>('all', 'one');
const cases: fc.Arbitrary<Case> = fc.record({
  batch: fc.constantFrom(1, 2),
  queries: fc.constantFrom(1, 2, 7, 8, 9, 47, 48, 49, 100, 200),
  keys: fc.constantFrom(1, 3, 15, 16, 17, 100, 189),
  heads: fc.constantFrom(1, 3, 8),
  size: fc.constantFrom(1, 3, 16, 20, 32, 64),
  bias: fc.option(fc.tuple(size, size, size, size), { nil: undefined }),
  masked: fc.constantFrom<Case['masked']>('none', 'some', 'all'),
  mask: fc.constantFrom(-1e9, -100, -3.4028234663852886e38, Number.NEGATIVE_INFINITY),
  seed: fc.integer(),
});

const RANGE = [1 / 64, 120] as const;

/**
 * What of an attention is rounded to bytes: nothing, queries, keys and values, or these and the softmax. The result of `tolerance`
 * is not that of the attention, but by how much that may differ.
 */
type Bytes = 'none' | 'operands' | 'all' | 'tolerance';

/**
 * The relative error of a weight before it is rounded to a byte: 1.1e-4 of the exponential (kernels/integer_attention_core.h), and
 * less than that of the scores, which are sums of at most 64 products.
 */
const WEIGHT_ERROR = 2e-4;

/**
 * The most by which means of values may differ whose weights are bytes. A weight whose error moves it across the middle between
 * two bytes may be a step lower or higher, by which a mean y of values v changes by (v − y) / the sum of all weights in steps.
 * Every other weight is one certain byte.
 */
function mostDifference(b: GraphBuilder, scores: Value, values: Value): Value {
  const one = (operator: string, inputs: readonly Value[]) => b.call('', operator, inputs)[0] as Value; // one result
  const steps = b.mul(b.exp(b.sub(scores, b.reduceMax(scores, [-1]))), 255);
  const fromMiddle = one('Abs', [b.sub(b.sub(steps, one('Floor', [steps])), 0.5)]);
  const uncertain = b.cast(one('Less', [fromMiddle, b.mul(steps, WEIGHT_ERROR)]), DataType.FLOAT);
  const count = b.reduceSum(uncertain, [-1]);
  const bytes = one('Round', [steps]);
  const sum = b.reduceSum(bytes, [-1]);
  const mean = one('Abs', [b.div(b.matmul(bytes, values), sum)]);
  return b.div(b.add(b.matmul(uncertain, one('Abs', [values])), b.mul(count, mean)), b.sub(sum, count));
}

/** Attention in separate operators, as models have it; with `writesBytes`, its result is quantized as well. */
function separate({ heads, bias, scale = 0.3 }: Case, writesBytes = false, bytes: Bytes = 'none'): Model {
  const b = new GraphBuilder('separate');
  const rounded = (x: Value, scale: number, zeroPoint: Uint8Array | Int8Array) => {
    const range = [
      b.initializer(makeTensor(`${x.name}.scale`, [], Float32Array.of(scale))),
      b.initializer(makeTensor(`${x.name}.zero_point`, [], zeroPoint)),
    ];
    const [integers] = b.call('', 'QuantizeLinear', [x, ...range]);
    return b.call('', 'DequantizeLinear', [integers as Value, ...range])[0] as Value;
  };
  const part = (name: string, order: number[], zeroPoint: Uint8Array | Int8Array) => {
    const value = b.input(name, DataType.FLOAT, ['batch', name === 'query' ? 'queries' : 'keys', undefined]);
    const ordered = b.transpose(b.reshape(value, [0, 0, heads, -1]), order);
    return bytes === 'none' ? ordered : rounded(ordered, 1 / 60, zeroPoint);
  };
  const [key, query, value] = [
    part('key', [0, 2, 3, 1], Int8Array.of(-3)),
    part('query', [0, 2, 1, 3], Uint8Array.of(131)),
    part('value', [0, 2, 1, 3], Int8Array.of(7)),
  ];
  const scaled = b.mul(b.matmul(query, key), scale);
  const scores = bias
    ? b.add(scaled, b.input('bias', DataType.FLOAT, [undefined, undefined, undefined, undefined]))
    : scaled;
  const softmax = b.softmax(scores);
  const weights = bytes === 'all' ? rounded(softmax, 1 / 255, Uint8Array.of(0)) : softmax;
  const mixed = bytes === 'tolerance' ? mostDifference(b, scores, value) : b.matmul(weights, value);
  const y = b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1]);
  b.output('y', y, [undefined, undefined, undefined]);
  if (writesBytes) {
    const range = [
      b.initializer(makeTensor('scale', [], Float32Array.of(RANGE[0]))),
      b.initializer(makeTensor('zero', [], Uint8Array.of(RANGE[1]))),
    ];
    b.output('bytes', b.call('', 'QuantizeLinear', [y, ...range])[0] as Value, [undefined, undefined, undefined]);
  }
  return b.finish();
}

function feedsOf({ batch, queries, keys, heads, size, bias, masked, mask, seed }: Case): Feeds {
  const channels = heads * size;
  const numbers = (shape: number[], own: number, most = 1) =>
    floats(
      noise(
        shape.reduce((count, each) => count * each, 1),
        seed + own,
      ).map((x) => x * most),
      shape,
    );
  const feeds: Record<string, ReturnType<typeof floats>> = {
    query: numbers([batch, queries, channels], 1, 2),
    key: numbers([batch, keys, channels], 2, 2),
    value: numbers([batch, keys, channels], 3),
  };
  if (!bias) return feeds;
  const all = [batch, heads, queries, keys];
  const shape = bias.map((each, axis) => (each === 'all' ? (all[axis] ?? 1) : 1));
  const { data } = numbers(shape, 4);
  const isMasked = (at: number) => masked === 'all' || (masked === 'some' && at % 3 === 1);
  return {
    ...feeds,
    bias: floats(
      Float32Array.from(data as Float32Array, (x, at) => (isMasked(at) ? mask : x)),
      shape,
    ),
  };
}

function fused(each: Case, writesBytes = false, bytes: Bytes = 'none'): Model {
  const model = separate(each, writesBytes, bytes);
  expect(fuseMultiHeadAttention(model)).toBe(1);
  return model;
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return floatData(outputs.get('y')).slice();
}

/** A number that results do not have for NaN, the result where all scores are minus infinity. */
const orElse = (x: number) => (Number.isNaN(x) ? 1e6 : x);

const bytesOf = ({ data }: Tensor) => Array.from(data as Uint8Array, Number); // of a uint8 tensor

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

/**
 * The most that weights of bytes change the result: half a step of each of the keys, of which the largest weight has 255, twice
 * as both the sum and the divisor change, times the largest value.
 */
const ofWeights = ({ keys }: Case) => Math.min((2 * keys * 0.5) / 255, 2) * 1.2;

test('with products of integers, queries, keys and values are bytes for the operator', async () => {
  for (const bias of [undefined, EXAMPLE.bias]) {
    const each = { ...EXAMPLE, bias };
    const model = fused(each, false, 'all');
    const operators = model.graph.node.map(({ opType }) => opType).filter((operator) => operator !== 'Identity');
    expect(operators).toEqual([...Array.from({ length: 3 }, () => 'QuantizeLinear'), INTEGER_MULTI_HEAD_ATTENTION]);
    const expected = await run(separate(each, false, 'operands'), feedsOf(each));
    expect(largestDifference(await run(model, feedsOf(each)), expected)).toBeLessThan(ofWeights(each) / 4);
  }
});

test('many keys of the same weight keep it, which 8 bits of a softmax would round to zero', async () => {
  const each = { ...EXAMPLE, bias: undefined, keys: 1200 };
  const feeds = feedsOf(each);
  const same = { ...feeds, key: floats(new Float32Array(1200 * 16).fill(0.5), [1, 1200, 16]) };
  const means = await run(separate(each, false, 'operands'), same);
  expect(largestDifference(await run(separate(each, false, 'all'), same), means)).toBeGreaterThan(0.001);
  for (const options of [{}, ...(hasKernels ? [withKernels] : [])])
    expect(largestDifference(await run(fused(each, false, 'all'), same, options), means)).toBeLessThan(1e-5);
});

test('the body computes what the separate operators do, to the bit', async () => {
  for (const bias of [undefined, EXAMPLE.bias]) {
    const each = { ...EXAMPLE, bias };
    expect(await run(fused(each), feedsOf(each))).toEqual(await run(separate(each), feedsOf(each)));
  }
});

describe.runIf(hasKernels)('the kernel', () => {
  const paths = KERNEL_PATHS.filter(hasKernelPath);

  test.for(paths)('computes what the separate operators do, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const feeds = feedsOf(each);
        const expected = await run(separate(each), feeds);
        const found = await run(fused(each), feeds, withKernels);
        expect(largestDifference(found.map(orElse), expected.map(orElse))).toBeLessThan(1e-5);
      }),
      { numRuns: 20 },
    );
  });

  test.for(paths)('computes products of bytes as the body does, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const feeds = feedsOf(each);
        const model = fused(each, true, 'all');
        quantizeResults(model);
        const [expected, found] = [await run(model, feeds), await run(model, feeds, withKernels)];
        const most = await run(separate(each, false, 'tolerance'), feeds);
        const isWrong = (y: number, at: number) =>
          !(Math.abs(y - orElse(expected[at] ?? 0)) <= (y === orElse(Number.NaN) ? 0 : (most[at] ?? 0) + 1e-5));
        expect(found.map(orElse).findIndex(isWrong)).toBe(-1);
        const exact = await run(separate(each, false, 'operands'), feeds);
        expect(largestDifference(found.map(orElse), exact.map(orElse))).toBeLessThan(ofWeights(each));
      }),
      { numRuns: 20 },
    );
  });

  test.for(paths)('gives no weight to keys that fill up a vector, however small the scale is, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    for (const keys of [17, 33, 40])
      for (const scale of [4e-4, 1e-5, 1e-12]) {
        const each = { ...EXAMPLE, bias: undefined, keys, scale };
        const [found, expected] = await Promise.all([
          run(fused(each, false, 'all'), feedsOf(each), withKernels),
          run(separate(each, false, 'operands'), feedsOf(each)),
        ]);
        expect(largestDifference(found, expected)).toBeLessThan(1e-3);
      }
  });

  test('writes bytes, and floats for those that read them', async () => {
    const model = fused(EXAMPLE, true);
    expect(quantizeResults(model)).toBe(1);
    expect(model.graph.node.map(({ opType }) => opType)).toContain(MULTI_HEAD_ATTENTION + QUANTIZED);
    expect(model.graph.node.map(({ opType }) => opType)).not.toContain('QuantizeLinear');
    const feeds = feedsOf(EXAMPLE);
    await using session = await Session.create(modelBytes(model), withKernels);
    await using reference = await Session.create(modelBytes(separate(EXAMPLE, true)));
    using found = await session.run(feeds);
    using expected = await reference.run(feeds);
    expect(largestDifference(floatData(found.get('y')), floatData(expected.get('y')))).toBeLessThan(1e-5);
    const bytes = bytesOf(expected.get('bytes'));
    const most = bytesOf(found.get('bytes')).reduce(
      (most, byte, at) => Math.max(most, Math.abs(byte - (bytes[at] ?? 0))),
      0,
    );
    expect(most).toBeLessThanOrEqual(1);
  });

  test('gives the same results whatever the number of threads is', async () => {
    const each = { ...EXAMPLE, queries: 500, keys: 300 };
    for (const bytes of ['none', 'all'] as const) {
      const model = fused(each, false, bytes);
      const [one, three] = [1, 3].map((threads) => run(model, feedsOf(each), { ...withKernels, threads }));
      expect(await three).toEqual(await one);
    }
  });

  test.for(paths)('takes infinities and numbers that are none, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    for (const value of [Number.NaN, Infinity, -Infinity, 3e38, -3e38, 1e-45])
      for (const name of ['query', 'key', 'value', 'bias']) {
        const feeds = feedsOf(EXAMPLE);
        const given = feeds[name];
        if (!given) throw new Error(`there is no ${name}`);
        const changed = Float32Array.from(given.data as Float32Array, (x, at) => (at % 3 === 0 ? value : x));
        for (const bytes of ['none', 'all'] as const) {
          const spoiled = { ...feeds, [name]: floats(changed, given.shape) };
          expect(await run(fused(EXAMPLE, false, bytes), spoiled, withKernels)).toHaveLength(20 * 16);
        }
      }
  });

  test.for([
    ['key', [1, 33, 15], /do not fit each other/],
    ['value', [1, 32, 16], /do not fit each other/],
    ['query', [1, 20, 15], /do not fit each other/],
    ['bias', [1, 3, 20, 33], /the bias is not/],
    ['bias', [1, 1, 20, 32], /the bias is not/],
  ] as const)('checks the shape of %s: %j', async ([name, shape, message]) => {
    const count = shape.reduce<number>((product, each) => product * each, 1);
    const feeds = { ...feedsOf(EXAMPLE), [name]: floats(new Float32Array(count), shape) };
    for (const bytes of ['none', 'all'] as const)
      await expect(run(fused(EXAMPLE, false, bytes), feeds, withKernels)).rejects.toThrow(message);
  });

  test('gives zeros where there are no keys, and nothing where there are no queries', async () => {
    const none = { ...EXAMPLE, bias: undefined };
    for (const bytes of ['none', 'all'] as const) {
      const model = fused(none, false, bytes);
      expect(await run(model, feedsOf({ ...none, keys: 0 }), withKernels)).toEqual(new Float32Array(20 * 16));
      expect(await run(model, feedsOf({ ...none, queries: 0 }), withKernels)).toHaveLength(0);
    }
  });
});

/** A model that is not quite attention. */
const almost: Record<string, (model: Model) => void> = {
  'the scores are an output too': ({ graph }) => {
    const scores = graph.node.find(({ opType }) => opType === 'Softmax')?.input[0] ?? '';
    const [output] = graph.output;
    if (output) graph.output.push({ ...output, name: scores });
  },
  'the softmax is over the queries': ({ graph }) => {
    for (const { opType, attribute } of graph.node) if (opType === 'Softmax') for (const each of attribute) each.i = 2n;
  },
  'the values are transposed otherwise': ({ graph }) => {
    const transposes = graph.node.filter(({ opType }) => opType === 'Transpose');
    const values = transposes[2];
    for (const each of values?.attribute ?? []) each.ints = [0n, 1n, 2n, 3n];
  },
};

test.for(Object.keys(almost))('nothing is replaced where %s', (name) => {
  const model = copyModel(separate(EXAMPLE));
  almost[name]?.(model);
  expect(fuseMultiHeadAttention(model)).toBe(0);
});

test('nothing is replaced where only one of the products is of integers', () => {
  expect(fuseMultiHeadAttention(separate(EXAMPLE, false, 'operands'))).toBe(0);
});
