/** The operator of the embedding of patches, by its body and by the kernels, and the pass that places it. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { float } from '../../../onnx/attributes.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { DOMAIN, INTEGER_LINEAR, PATCH_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fusePatchEmbedding } from './fuse-patch-embedding.ts';
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

type ImageShape = readonly [batch: number, colours: number, height: number, width: number];

const COLUMNS = 37;
const SCALE = 1 / 48;
const ZERO_POINT = 117;

interface Embedding {
  readonly patch: number;
  readonly colours: number;
  /** The order of the axes [batch, colour, row, down, column, across] in which the numbers of a patch are put side by side. */
  readonly order?: readonly number[];
  /** The sizes of the image, if they are those of the model in any case. */
  readonly size?: readonly [height: number, width: number];
  /** What is put behind the image: numbers before they become bytes, or bytes behind those. */
  readonly padsBytes?: boolean;
  /** The zero point that the layer assumes. */
  readonly layerZeroPoint?: number;
}

/** The embedding in separate operators, as `src/models/grounding-dino/swin.ts` and quantize-early.ts make them. */
function separate(embedding: Embedding): Model {
  const { patch, colours, order = [0, 2, 4, 1, 3, 5], size, padsBytes = false, layerZeroPoint } = embedding;
  const depth = colours * patch ** 2;
  const b = new GraphBuilder('separate');
  b.define(integerProductFunction());
  b.define(linearFunction({ layers: 1, hasGelu: false, hasNorm: false }));
  const stored = (name: string, dims: number[], data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, dims, data));
  const range = [stored('scale', [], Float32Array.of(SCALE)), stored('zero', [], Uint8Array.of(ZERO_POINT))] as const;
  const assumed = layerZeroPoint === undefined ? range[1] : stored('other', [], Uint8Array.of(layerZeroPoint));
  const x = b.input('x', DataType.FLOAT, ['batch', colours, size?.[0] ?? 'height', size?.[1] ?? 'width']);
  const rest = b.mod(b.sub(b.integers(0), b.shapeOf(x, 2, 4)), b.integers(patch));
  const quantize = (value: Value) => b.call('', 'QuantizeLinear', [value, ...range])[0] as Value; // one result
  const pads = b.vector([0, 0, 0, 0, 0, 0, rest]);
  const whole = padsBytes
    ? (b.call('', 'Pad', [quantize(x), pads])[0] as Value) // one result
    : quantize(b.padEnd(x, rest, [2, 3]));
  const counts = b.div(b.shapeOf(whole, 2, 4), b.integers(patch));
  const [rows, columns] = [b.slice(counts, [0], [1], [0]), b.slice(counts, [1], [2], [0])];
  const cut = b.transpose(b.reshape(whole, [0, colours, rows, patch, columns, patch]), [...order]);
  const patches = b.reshape(cut, [0, rows, columns, depth]);
  const panels = Math.ceil(COLUMNS / 16);
  // The numbers of columns that fill up the last panel must be 0.
  const weight = Int8Array.from(noise(panels * depth * 16, 3), (value, at) =>
    Math.floor(at / (depth * 16)) * 16 + (Math.floor(at / 4) % 16) < COLUMNS ? Math.round(value * 127) : 0,
  );
  const layer = [
    range[0],
    assumed,
    stored('weight', [panels, depth / 4, 16, 4], weight),
    stored('weight.scale', [COLUMNS], new Float32Array(COLUMNS).fill(2 ** -10)),
    stored('bias', [COLUMNS], noise(COLUMNS, 4)),
  ];
  const [embedded] = b.call(DOMAIN, INTEGER_LINEAR, [patches, ...layer]) as [Value]; // one result
  const norm = [stored('norm.scale', [COLUMNS], noise(COLUMNS, 1)), stored('norm.bias', [COLUMNS], noise(COLUMNS, 2))];
  const [y] = b.call('', 'LayerNormalization', [embedded, ...norm], { epsilon: float(1e-3) });
  b.output('y', y as Value); // operators with one result
  return b.finish();
}

async function fused(model: Model): Promise<Model> {
  const copy = copyModel(model);
  expect(await fusePatchEmbedding(copy)).toBe(1);
  expect(copy.graph.node.map(({ opType }) => opType)).toEqual([PATCH_EMBEDDING, 'Identity']);
  return copy;
}

async function run(
  model: Model,
  patch: number,
  x: Float32Array,
  shape: ImageShape,
  options = {},
): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run({ x: floats(x, shape) });
  const [batch, , height, width] = shape;
  expect(outputs.get('y').shape).toEqual([batch, Math.ceil(height / patch), Math.ceil(width / patch), COLUMNS]);
  return floatData(outputs.get('y')).slice();
}

const imageOf = (shape: ImageShape) =>
  noise(
    shape.reduce((product, size) => product * size, 1),
    5,
  ).map((value) => 3 * value);

const cases: readonly (readonly [patch: number, ...shape: ImageShape])[] = [
  [4, 1, 3, 24, 32],
  [4, 2, 3, 23, 41],
  [4, 1, 3, 1, 1],
  [2, 1, 1, 9, 1700], // more patches in a row than are taken at a time
  [6, 1, 2, 25, 13],
  [4, 0, 3, 8, 8],
];

/** Roundings of the normalization; a byte that is rounded otherwise changes much more. */
const ROUNDING = 1e-5;

describe('the embedding as one operator', () => {
  test.each(cases)(
    'the body computes what the separate operators do: patches of %i, %i x %i x %i x %i',
    async (...each) => {
      const [patch, ...shape] = each;
      const model = separate({ patch, colours: shape[1] });
      const x = imageOf(shape);
      expect(haveSameBytes(await run(await fused(model), patch, x, shape), await run(model, patch, x, shape))).toBe(
        true,
      );
    },
  );

  test.runIf(hasKernels).each(paths)('so do the kernels, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    for (const [patch, ...shape] of cases) {
      const model = separate({ patch, colours: shape[1] });
      const x = imageOf(shape);
      const expected = await run(model, patch, x, shape, { ...withKernels, threads: 1 });
      const found = await run(await fused(model), patch, x, shape, { ...withKernels, threads: 3 });
      expect(largestDifference(found, expected)).toBeLessThan(ROUNDING);
    }
  });

  test.runIf(hasKernels).each(paths)('numbers that are none stay in their patch, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const shape = [1, 1, 8, 90] as const;
    const model = await fused(separate({ patch: 4, colours: 1 }));
    const clean = await run(model, 4, imageOf(shape), shape, withKernels);
    const bad = imageOf(shape);
    for (const [at, value] of [Number.NaN, Infinity, -Infinity, 3e38].entries()) bad[at] = value;
    const found = await run(model, 4, bad, shape, withKernels);
    expect(found.every((value, at) => (at < COLUMNS ? Number.isFinite(value) : value === clean[at]))).toBe(true);
  });

  test('an image of fixed size has the same operator', async () => {
    const shape = [1, 3, 7, 10] as const;
    const model = separate({ patch: 4, colours: 3, size: [7, 10] });
    const x = imageOf(shape);
    expect(haveSameBytes(await run(await fused(model), 4, x, shape), await run(model, 4, x, shape))).toBe(true);
  });
});

describe('the graph stays as it is', () => {
  test.each<[string, Partial<Embedding>]>([
    ['the numbers of a patch are in another order', { order: [0, 2, 4, 1, 5, 3] }],
    ['bytes are put behind the image that are not those of 0', { padsBytes: true }],
    ['the layer assumes another range', { layerZeroPoint: 3 }],
  ])('if %s', async (_, changes) => {
    expect(await fusePatchEmbedding(separate({ patch: 4, colours: 3, ...changes }))).toBe(0);
  });
});
