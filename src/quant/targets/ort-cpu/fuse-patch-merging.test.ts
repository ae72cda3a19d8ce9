/** The operator of the merging of patches, by its body and by the kernels, and the pass that places it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { float } from '../../../onnx/attributes.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { DOMAIN, NORM_INTEGER_LINEAR, PATCH_MERGING } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fusePatchMerging } from './fuse-patch-merging.ts';
import { integerProductFunction } from './integer-product.ts';
import { linearFunction } from './linear-function.ts';

const paths = KERNEL_PATHS.filter(hasKernelPath);
// On some processors the kernels run only where an instruction set is asked for.
beforeEach(() => {
  process.env.DINO8_KERNEL_PATH = paths[0] ?? '';
});
afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

type MapShape = readonly [batch: number, height: number, width: number, channels: number];

const COLUMNS = 21;
const WEIGHT_STEP = 2 ** -12;

interface Merging {
  readonly channels: number;
  /** The order of the axes [batch, row, down, column, across, channel] in which the neighbours are put side by side. */
  readonly order?: readonly number[];
  /** The sizes of the map, if they are those of the model in any case. */
  readonly size?: readonly [height: number, width: number];
}

/** The merging in separate operators, as `src/models/grounding-dino/swin.ts` makes them. */
function separate({ channels, order = [0, 1, 3, 4, 2, 5], size }: Merging): Model {
  const depth = 4 * channels;
  const b = new GraphBuilder('separate');
  b.define(integerProductFunction());
  b.define(linearFunction({ layers: 1, hasGelu: false, hasNorm: false, hasNormBefore: true }));
  const stored = (name: string, dims: number[], data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, dims, data));
  const x = b.input('x', DataType.FLOAT, ['batch', size?.[0] ?? 'height', size?.[1] ?? 'width', channels]);
  const map = b.mul(x, 1); // the map is a result, as in a model
  const even = b.padEnd(map, b.mod(b.sub(b.integers(0), b.shapeOf(map, 1, 3)), b.integers(2)), [1, 2]);
  const half = b.div(b.shapeOf(even, 1, 3), b.integers(2));
  const [rows, columns] = [b.slice(half, [0], [1], [0]), b.slice(half, [1], [2], [0])];
  const pairs = b.reshape(even, [0, rows, 2, columns, 2, channels]);
  const joined = b.reshape(b.transpose(pairs, [...order]), [0, rows, columns, depth]);
  const vector = (name: string, seed: number) => stored(name, [depth], noise(depth, seed));
  const panels = Math.ceil(COLUMNS / 16);
  // The numbers of columns that fill up the last panel must be 0.
  const weight = Int8Array.from(noise(panels * depth * 16, 3), (value, at) =>
    Math.floor(at / (depth * 16)) * 16 + (Math.floor(at / 4) % 16) < COLUMNS ? Math.round(value * 127) : 0,
  );
  const constants = [
    stored('scale', [], Float32Array.of(1 / 64)),
    stored('zero', [], Uint8Array.of(117)),
    stored('weight', [panels, channels, 16, 4], weight),
    stored('weight.scale', [COLUMNS], new Float32Array(COLUMNS).fill(64 * WEIGHT_STEP)),
    stored('bias', [COLUMNS], noise(COLUMNS, 4)),
    vector('norm.scale', 1),
    vector('norm.bias', 2),
  ];
  const [y] = b.call(DOMAIN, NORM_INTEGER_LINEAR, [joined, ...constants], { epsilon: float(1e-3) });
  b.output('y', y as Value); // operators with one result
  return b.finish();
}

async function fused(model: Model): Promise<Model> {
  const copy = copyModel(model);
  expect(await fusePatchMerging(copy)).toBe(1);
  expect(copy.graph.node.map(({ opType }) => opType)).toEqual(['Mul', PATCH_MERGING, 'Identity']);
  return copy;
}

async function run(model: Model, x: Float32Array, shape: MapShape, options = {}): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run({ x: floats(x, shape) });
  const [batch, height, width] = shape;
  expect(outputs.get('y').shape).toEqual([batch, Math.ceil(height / 2), Math.ceil(width / 2), COLUMNS]);
  return floatData(outputs.get('y')).slice();
}

const mapOf = (shape: MapShape) =>
  noise(
    shape.reduce((product, size) => product * size, 1),
    5,
  ).map((value) => 3 * value + 1);

const shapes: readonly MapShape[] = [
  [1, 6, 8, 24],
  [2, 7, 5, 24],
  [1, 1, 1, 3],
  [1, 31, 42, 13],
  [0, 4, 4, 8],
];

/** A byte that rounds the other way changes each result by a weight; a few of a row may. */
const FEW_BYTES = 3 * 127 * WEIGHT_STEP;

describe('the merging as one operator', () => {
  test.each(shapes)('the body computes what the separate operators do: %i x %i x %i x %i', async (...shape) => {
    const model = separate({ channels: shape[3] });
    const x = mapOf(shape);
    expect(haveSameBytes(await run(await fused(model), x, shape), await run(model, x, shape))).toBe(true);
  });

  test.runIf(hasKernels).each(paths)(
    'so do the kernels, with the bits of the separate operators, by %s',
    async (path) => {
      process.env.DINO8_KERNEL_PATH = path;
      for (const shape of shapes) {
        const model = separate({ channels: shape[3] });
        const merging = await fused(model);
        const x = mapOf(shape);
        const found = await run(merging, x, shape, { ...withKernels, threads: 3 });
        expect(largestDifference(found, await run(merging, x, shape))).toBeLessThan(FEW_BYTES);
        expect(haveSameBytes(found, await run(model, x, shape, { ...withKernels, threads: 1 }))).toBe(true);
      }
    },
  );

  test.runIf(hasKernels).each(paths)('numbers that are none stay in their neighbourhood, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const shape = [1, 5, 9, 8] as const;
    const model = await fused(separate({ channels: 8 }));
    const clean = await run(model, mapOf(shape), shape, withKernels);
    const bad = mapOf(shape);
    for (const [at, value] of [Number.NaN, Infinity, -Infinity, 3e38].entries()) bad[2 * at * 8] = value;
    const found = await run(model, bad, shape, withKernels);
    expect(found.every((value, at) => (at < 4 * COLUMNS ? Number.isFinite(value) : value === clean[at]))).toBe(true);
  });

  test('a map of fixed size has the same operator', async () => {
    const shape = [1, 7, 10, 4] as const;
    const model = separate({ channels: 4, size: [7, 10] });
    expect(
      haveSameBytes(await run(await fused(model), mapOf(shape), shape), await run(model, mapOf(shape), shape)),
    ).toBe(true);
  });
});

describe('the graph stays as it is', () => {
  test('if the neighbours are in another order', async () => {
    expect(await fusePatchMerging(separate({ channels: 4, order: [0, 1, 3, 2, 4, 5] }))).toBe(0);
  });
});
