/** A model with weights in blocks computes what the float model computes, in ONNX Runtime, to the precision of its bits. */
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { inferShapes } from '../../onnx/infer/infer.ts';
import { lowerModel } from '../../onnx/lower/lower.ts';
import type { Model } from '../../onnx/read.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats, integers } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { storeHalf } from '../half/store-half.ts';
import { storeBlockWeights } from './store-block-weights.ts';

/** Numbers of which most are small, as in weights. */
const cubes = (count: number, seed: number) => noise(count, seed).map((x) => x ** 3);

/** A linear layer without a bias. */
function layer(rows: number, columns: number, weight = cubes(rows * columns, 7)): Model {
  const b = new GraphBuilder('layer');
  const x = b.input('x', DataType.FLOAT, ['n', rows]);
  const stored = b.initializer(makeTensor('fc.weight', [rows, columns], weight));
  b.output(
    'y',
    b.scope('fc', () => b.matmul(x, stored)),
  );
  const model = b.finish();
  lowerModel(model, { opset: 19 });
  return model;
}

/** The matrix that a linear layer multiplies by: its results for the rows of the identity. */
async function matrixOf(model: Model, rows: number): Promise<Float32Array> {
  const identity = Float32Array.from({ length: rows * rows }, (_, at) => (at % (rows + 1) === 0 ? 1 : 0));
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({ x: floats(identity, [rows, rows]) });
  return floatData(outputs.get('y')).slice();
}

const meanSquare = (errors: Float32Array) => errors.reduce((sum, error) => sum + error ** 2, 0) / errors.length;

describe('a linear layer', () => {
  // The second column: what MatMulNBitsQuantizer of onnxruntime.quantization 1.30 leaves of the same weight, with symmetric blocks of 32.
  test.each([
    [8, 3.748946532432859e-6],
    [4, 9.033029197887564e-4],
  ] as const)('with %i bits is at least as near as the quantizer of ONNX Runtime makes it', async (bits, others) => {
    const weight = cubes(64 * 96, 7);
    const model = layer(64, 96, weight);
    expect(await storeBlockWeights(model, { bits, eightBits: [] })).toBe(1);
    expect(model.graph.node.map(({ opType }) => opType)).not.toContain('MatMul');
    const found = await matrixOf(model, 64);
    expect(meanSquare(found.map((x, at) => x - (weight[at] ?? Number.NaN)))).toBeLessThan(others * (1 + 1e-5));
  });

  test.each([
    [24, 96],
    [100, 48],
    [700, 3],
  ])('whose %i rows are no whole number of blocks is filled up', async (rows, columns) => {
    const weight = cubes(rows * columns, 3);
    const model = layer(rows, columns, weight);
    await storeBlockWeights(model, { bits: 8, eightBits: [] });
    expect(inferShapes(model).get('y')).toEqual({ type: DataType.FLOAT, shape: ['n', columns] });
    const found = await matrixOf(model, rows);
    const largest = Math.max(...weight.map(Math.abs));
    const errors = found.map((x, at) => Math.abs(x - (weight[at] ?? Number.NaN)));
    expect(Math.max(...errors)).toBeLessThanOrEqual(largest / 128 + 1e-6);
  });

  test('of zeros stays one', async () => {
    for (const bits of [8, 4] as const) {
      const model = layer(64, 32, new Float32Array(64 * 32));
      await storeBlockWeights(model, { bits, eightBits: [] });
      expect(await matrixOf(model, 64)).toEqual(new Float32Array(64 * 32));
    }
  });

  test('keeps 8 bits by its path, and its weight where it is small', async () => {
    const [sensitive, other] = [layer(64, 64), layer(64, 64)];
    await storeBlockWeights(sensitive, { bits: 4, eightBits: ['f*'] });
    await storeBlockWeights(other, { bits: 4, eightBits: ['head'] });
    const bytesOf = (model: Model) => model.graph.initializer.reduce((sum, { rawData }) => sum + rawData.length, 0);
    expect([bytesOf(sensitive), bytesOf(other)]).toEqual([64 * 64 + 64 * 2 * 4, (64 * 64) / 2 + 64 * 2 * 4]);
    expect(await storeBlockWeights(layer(16, 4), { bits: 4, eightBits: [] })).toBe(0);
  });

  test('with a weight that is not finite is refused by its name', async () => {
    const weight = cubes(64 * 64, 1);
    weight[100] = Number.NaN;
    const storing = storeBlockWeights(layer(64, 64, weight), { bits: 8, eightBits: [] });
    await expect(storing).rejects.toThrow(InputError);
    await expect(storing).rejects.toThrow(/fc\.weight of fc has values that are not finite/);
  });
});

/** A table, a convolution, a stack of matrices and a linear layer, whose results are added up. */
function network(): Model {
  const b = new GraphBuilder('network');
  const ids = b.input('ids', DataType.INT64, [1, 64]);
  const image = b.input('image', DataType.FLOAT, [1, 8, 8, 8]);
  const parameter = (name: string, shape: number[]) =>
    b.initializer(
      makeTensor(
        name,
        shape,
        cubes(
          shape.reduce((product, each) => product * each),
          name.length,
        ),
      ),
    );
  const [table, kernel] = [parameter('table', [64, 64]), parameter('kernel', [64, 8, 3, 3])];
  const [stack, weight] = [parameter('stack', [1, 64, 64]), parameter('linear', [64, 64])];
  const rows = b.scope('table', () => b.gather(table, ids, 0));
  const map = b.scope('conv', () => b.conv(image, kernel, b.constant(new Float32Array(64), [64]), 3, 1, 1));
  const pixels = b.scope('pixels', () => b.reshape(map, [1, 64, 64]));
  const first = b.scope('stack', () => b.matmul(b.add(rows, pixels), stack));
  b.output(
    'y',
    b.scope('linear', () => b.matmul(first, weight)),
  );
  const model = b.finish();
  lowerModel(model, { opset: 19 });
  return model;
}

async function run(model: Model): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({
    ids: integers(
      Array.from({ length: 64 }, (_, at) => (at * 7) % 64),
      [1, 64],
    ),
    image: floats(noise(512, 5), [1, 8, 8, 8]),
  });
  return floatData(outputs.get('y')).slice();
}

test('tables, convolutions and stacks have 8 bits too, and all of it computes in 16-bit floats as well', async () => {
  const expected = await run(network());
  const relative = (found: Float32Array) =>
    Math.sqrt(meanSquare(found.map((x, at) => x - (expected[at] ?? Number.NaN))) / meanSquare(expected));
  const model = network();
  expect(await storeBlockWeights(model, { bits: 8, eightBits: [] })).toBe(4);
  expect(
    model.graph.initializer.filter(({ dataType, dims }) => dataType === DataType.FLOAT && dims.length > 1),
  ).toEqual([]);
  expect(relative(await run(model))).toBeLessThan(0.01);
  expect(await storeHalf(model, { single: ['table'] }, 'test')).toBeGreaterThan(3);
  const infos = inferShapes(model);
  const typesOf = (opType: string) =>
    model.graph.node.filter((node) => node.opType === opType).map(({ output: [name = ''] }) => infos.get(name)?.type);
  expect(typesOf('MatMulNBits')).toEqual([DataType.FLOAT16]);
  expect(typesOf('DequantizeLinear')).toEqual([DataType.FLOAT16, DataType.FLOAT16]);
  expect(relative(await run(model))).toBeLessThan(0.01);
});
