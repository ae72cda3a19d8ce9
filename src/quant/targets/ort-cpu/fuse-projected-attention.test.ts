/** Deformable attention with the linear layers of its offsets and logits: the pass, the body of the operator and the kernels. */
import { describe, expect, test } from 'vitest';
import { deformableAttentionFunction } from '../../../models/grounding-dino/deformable-attention.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import {
  DEFORMABLE_ATTENTION,
  DOMAIN,
  PROJECTED_DEFORMABLE_ATTENTION,
  QUANTIZED,
} from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floats, tensor } from '../../../runtime/tensor.ts';
import { largestDifference } from '../../../testing/difference.ts';
import { hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseProjectedAttention } from './fuse-projected-attention.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';
import { quantizeResults } from './quantize-results.ts';

interface Attention {
  readonly levels: readonly (readonly [height: number, width: number])[];
  readonly heads: number;
  readonly size: number;
  readonly points: number;
  readonly depth: number;
  readonly queries: number;
  /** Whether the result is read as floats beside the bytes. */
  readonly isRead?: boolean;
  /** Whether the logits are of other bytes than the offsets. */
  readonly hasOtherQueries?: boolean;
  /** Whether another node reads the offsets. */
  readonly hasReadOffsets?: boolean;
}

const BATCH = 2;
const RESULT_SCALE = 1 / 64;

const small: Attention = { levels: [[3, 4]], heads: 1, size: 5, points: 2, depth: 4, queries: 7 };
const cases: readonly (readonly [string, Attention])[] = [
  ['sixteen samples, more queries than a task', { ...small, levels: [[9, 7], [5, 4], [3, 2], [1, 1]], heads: 2, size: 32, points: 4, depth: 64, queries: 230 }], // biome-ignore format: a table
  [
    'sizes that are no whole vectors',
    {
      ...small,
      levels: [
        [5, 3],
        [2, 2],
      ],
      heads: 3,
      size: 21,
      points: 3,
      depth: 36,
      queries: 50,
      isRead: true,
    },
  ],
  ['one query', { ...small, queries: 1, isRead: true }],
];

/** Bytes of queries → two integer products → deformable attention of bytes → bytes. */
function separate({ levels, heads, size, points, depth, hasOtherQueries, hasReadOffsets, isRead }: Attention): Model {
  const b = new GraphBuilder('attention');
  b.define(integerProductFunction());
  b.define(deformableAttentionFunction(levels.length));
  const constant = (name: string, dims: number[], data: Float32Array | Uint8Array | Int8Array | BigInt64Array) =>
    b.initializer(makeTensor(name, dims, data));
  const samples = heads * levels.length * points;
  const range = [constant('scale', [], Float32Array.of(1 / 64)), constant('zero', [], Uint8Array.of(117))] as const;
  const layer = (name: string, rows: Value, columns: number, seed: number) => {
    const weight = Int8Array.from(noise(depth * columns, seed), (x) => Math.round(x * 127));
    const [product] = b.call(CONTRIB, INTEGER_PRODUCT, [
      rows,
      constant(`${name}.weight`, [depth, columns], weight),
      range[0],
      constant(`${name}.scale`, [columns], noise(columns, seed + 1).map((x) => (x + 2) / 512)), // biome-ignore format: one line
      range[1],
      constant(`${name}.zero`, [columns], new Int8Array(columns)),
      constant(`${name}.bias`, [columns], noise(columns, seed + 2)),
    ]);
    return product as Value; // operators with one result, as below
  };
  const queries = b.input('queries', DataType.UINT8, ['batch', 'queries', depth]);
  const others = hasOtherQueries ? b.input('others', DataType.UINT8, ['batch', 'queries', depth]) : queries;
  const offsets = layer('offsets', queries, 2 * samples, 1);
  const [sampled] = b.call(DOMAIN, DEFORMABLE_ATTENTION, [
    b.input('value', DataType.UINT8, ['batch', 'positions', heads, size]),
    constant('value_scale', [], Float32Array.of(1 / 128)),
    constant('value_zero', [], Uint8Array.of(100)),
    constant('shapes', [levels.length, 2], BigInt64Array.from(levels.flat(), BigInt)),
    b.input('points', DataType.FLOAT, ['batch', 'queries', levels.length, 2]),
    constant('lengths', [1, 1, levels.length, 2], new Float32Array(2 * levels.length).fill(0.1)),
    b.reshape(offsets, [0, 0, heads, levels.length, points, 2]),
    b.reshape(layer('logits', others, samples, 11), [0, 0, heads, levels.length * points]),
  ]);
  const [bytes] = b.call('', 'QuantizeLinear', [
    sampled as Value,
    constant('result_scale', [], Float32Array.of(RESULT_SCALE)),
    constant('result_zero', [], Uint8Array.of(128)),
  ]);
  b.output('bytes', b.reshape(bytes as Value, [-1]));
  if (isRead) b.output('floats', b.reshape(sampled as Value, [-1]));
  if (hasReadOffsets) b.output('offsets', b.reshape(offsets, [-1]));
  return b.finish();
}

/** With `isHostile`, some points are nowhere: they are not numbers, infinite or very far away. */
function feedsOf({ levels, heads, size, depth, queries }: Attention, isHostile: boolean): Feeds {
  const positions = levels.reduce((sum, [height, width]) => sum + height * width, 0);
  const bytes = (shape: readonly number[], seed: number) => {
    const count = shape.reduce((product, each) => product * each, 1);
    return tensor(
      Uint8Array.from(noise(count, seed), (x) => 128 + x * 127),
      shape,
    );
  };
  const points = noise(BATCH * queries * levels.length * 2, 3).map((x) => 0.5 + 0.7 * x);
  for (const [at, odd] of (isHostile ? [Number.NaN, Number.POSITIVE_INFINITY, -3e38] : []).entries())
    if (3 * at < points.length) points[3 * at] = odd;
  return {
    queries: bytes([BATCH, queries, depth], 4),
    value: bytes([BATCH, positions, heads, size], 6),
    points: floats(points, [BATCH, queries, levels.length, 2]),
  };
}

/** The model with linear layers as operators, and bytes as their results where they are quantized. */
async function withLayers(model: Model, fuse: (copy: Model) => void): Promise<Model> {
  const copy = copyModel(model);
  expect(fuseLinearBlocks(copy)).toBe(2);
  await foldConstants(copy);
  fuse(copy);
  quantizeResults(copy);
  return copy;
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Record<string, number[]>> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return Object.fromEntries(outputs.names.map((name) => [name, [...outputs.get(name).data].map(Number)]));
}

const sets = [
  ['the body', {}],
  ...(hasKernels ? ([['the kernels', { ...withKernels, threads: 3 }]] as const) : []),
] as const;

describe.each(sets)('by %s', (_, options) => {
  test.each(cases)('%s: the numbers of the separate operators', async (_name, attention) => {
    const model = separate(attention);
    const layers = await withLayers(model, () => {});
    const fused = await withLayers(model, (copy) => expect(fuseProjectedAttention(copy)).toBe(1));
    const operators = fused.graph.node.map(({ opType }) => opType);
    expect(operators).toContain(PROJECTED_DEFORMABLE_ATTENTION + QUANTIZED);
    expect(operators).not.toContain(DEFORMABLE_ATTENTION);
    const hostile = feedsOf(attention, true);
    expect(await run(fused, hostile, options)).toEqual(await run(layers, hostile, options));
    const feeds = feedsOf(attention, false);
    const found = await run(fused, feeds, options);
    // The standard operators compute the same up to rounding, which may move a byte by one.
    const standard = await run(model, feeds);
    for (const name of Object.keys(standard)) {
      const difference = largestDifference(found[name] ?? [], standard[name] ?? []);
      expect(difference).toBeLessThan(name === 'bytes' ? 1.5 : 1e-3);
    }
  });
});

test('layers that other nodes read, or that read other bytes, are left as they are', async () => {
  for (const odd of [{ hasReadOffsets: true }, { hasOtherQueries: true }])
    await withLayers(separate({ ...small, ...odd }), (copy) => expect(fuseProjectedAttention(copy)).toBe(0));
});
