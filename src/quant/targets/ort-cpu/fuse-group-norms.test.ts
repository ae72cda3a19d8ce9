/** The operator of group normalizations, by its body and by the kernels, and the pass that keeps levels in rows for it. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { GROUP_NORM_LEVELS } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { largestDifference } from '../../../testing/difference.ts';
import { hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseGroupNorms } from './fuse-group-norms.ts';
import { INTEGER_PRODUCT } from './integer-product.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';
import { quantizeResults } from './quantize-results.ts';

interface Sizes {
  readonly batch: number;
  /** The height and width of the largest map; each other one has half of both, rounded up. */
  readonly size: readonly [height: number, width: number];
  readonly depth: number;
  readonly channels: number;
  readonly groups: number;
}

/** The scales of bytes: powers of two, so that nothing but the results of convolutions is rounded. */
const [X_SCALE, WEIGHT_SCALE, RESULT_SCALE] = [2 ** -6, 2 ** -7, 2 ** -4];

/** Maps as rows [batch, height, width, depth], projected by quantized convolutions and normalized in groups, and their sizes. */
function separate({ depth, channels, groups }: Omit<Sizes, 'batch' | 'size'>, levels = 4): Model {
  const b = new GraphBuilder('separate');
  const tensor = (name: string, shape: readonly number[], data: Float32Array | Int8Array | Uint8Array) =>
    b.initializer(makeTensor(name, shape, data));
  const one = (operator: string, inputs: Value[], attributes = {}) =>
    b.call('', operator, inputs, attributes)[0] as Value; // operators with one result
  const range = (name: string, scale: number, zero: number) => [
    tensor(`${name}.scale`, [], Float32Array.of(scale)),
    tensor(`${name}.zero`, [], Uint8Array.of(zero)),
  ];
  const [ones, zeros] = [1, 0].map((each) => b.constant(new Float32Array(groups).fill(each), [groups])) as [
    Value,
    Value,
  ];
  const sizes: Value[] = [];
  const positions = Array.from({ length: levels }, (_, level) => {
    const x = b.input(`x_${level}`, DataType.FLOAT, ['batch', `height_${level}`, `width_${level}`, depth]);
    const ofX = range(`x_${level}`, X_SCALE, 117 + level);
    const map = b.transpose(one('QuantizeLinear', [x, ...ofX]), [0, 3, 1, 2]);
    const side = level === 3 ? 3 : 1;
    const shape = [channels, depth, side, side];
    const numbers = Int8Array.from(noise(channels * depth * side ** 2, level), (value) => Math.round(value * 127));
    const weight = one(
      'DequantizeLinear',
      [
        tensor(`weight_${level}`, shape, numbers),
        tensor(`weight_${level}.scale`, [channels], new Float32Array(channels).fill(WEIGHT_SCALE)),
        tensor(`weight_${level}.zero`, [channels], new Int8Array(channels)),
      ],
      { axis: 0 },
    );
    const bias = tensor(
      `bias_${level}`,
      [channels],
      noise(channels, 9).map((value) => Math.round(value * 64) / 64),
    );
    const convolved = b.conv(
      one('DequantizeLinear', [map, ...ofX]),
      weight,
      bias,
      side,
      side === 3 ? 2 : 1,
      side === 3 ? 1 : 0,
    );
    const ofResult = range(`result_${level}`, RESULT_SCALE, 120 + level);
    const rounded = one('DequantizeLinear', [one('QuantizeLinear', [convolved, ...ofResult]), ...ofResult]);
    const grouped = b.instanceNormalization(b.reshape(rounded, [0, groups, -1]), ones, zeros, 1e-5);
    const perChannel = (name: string, seed: number) =>
      tensor(`${name}_${level}`, [channels, 1, 1], noise(channels, seed));
    const normed = b.reshape(grouped, [b.shapeOf(rounded)]);
    const y = b.add(b.mul(normed, perChannel('factor', 20 + level)), perChannel('offset', 30 + level));
    sizes.push(b.shapeOf(y, 2, 4));
    return b.transpose(b.reshape(y, [0, channels, -1]), [0, 2, 1]);
  });
  b.output('y', b.concat(positions, 1));
  b.output('sizes', b.concat(sizes, 0));
  return b.finish();
}

async function fused(model: Model): Promise<Model> {
  const copy = copyModel(model);
  expect(fuseGroupNorms(copy)).toBe(1);
  await foldConstants(copy);
  const operators = copy.graph.node.map(({ opType }) => opType);
  expect(operators.filter((each) => each === 'Conv' || each === 'Transpose')).toEqual([
    'Transpose',
    'Conv',
    'Transpose',
  ]);
  expect(operators.filter((each) => each === INTEGER_PRODUCT)).toHaveLength(3);
  expect(operators).toContain(GROUP_NORM_LEVELS);
  return copy;
}

async function run(model: Model, { batch, size, depth }: Sizes, options = {}) {
  await using session = await Session.create(modelBytes(model), options);
  const inputs = Array.from({ length: 4 }, (_, level) => {
    const [height, width] = size.map((each) => Math.ceil(each / 2 ** level)) as [number, number];
    const numbers = noise(batch * height * width * depth, level).map((value) => 2 * value);
    return [`x_${level}`, floats(numbers, [batch, height, width, depth])] as const;
  });
  using outputs = await session.run(Object.fromEntries(inputs));
  const y = outputs.get('y');
  return { y: Float32Array.from(floatData(y)), shape: [...y.shape], sizes: [...outputs.get('sizes').data].map(Number) };
}

const cases: readonly Sizes[] = [
  { batch: 1, size: [24, 37], depth: 8, channels: 32, groups: 4 },
  { batch: 2, size: [9, 5], depth: 4, channels: 21, groups: 3 },
  { batch: 1, size: [1, 1], depth: 12, channels: 70, groups: 1 },
];

describe.each([
  ['the body', {}],
  ...(hasKernels
    ? [1, 3].map((threads) => [`the kernels with ${threads} threads`, { ...withKernels, threads }] as const)
    : []),
] as const)('by %s', (_, options) => {
  test.each(cases)('rows are normalized as the maps are: %o', async (sizes) => {
    const model = separate(sizes);
    const rows = await fused(model);
    fuseLinearBlocks(rows);
    await foldConstants(rows);
    expect(quantizeResults(rows)).toBe(3);
    const [found, expected] = [await run(rows, sizes, options), await run(model, sizes)];
    expect(found.shape).toEqual(expected.shape);
    expect(found.sizes).toEqual(expected.sizes);
    expect(largestDifference(found.y, expected.y)).toBeLessThan(1e-5);
  });
});

test('levels of other numbers, and those that are read elsewhere, stay as they are', () => {
  const [sizes] = cases as readonly [Sizes, ...Sizes[]];
  expect(fuseGroupNorms(separate(sizes, 3))).toBe(0);
  const model = separate(sizes);
  const convolution = model.graph.node.find(({ opType }) => opType === 'Conv');
  const read = new GraphBuilder('read');
  read.output('z', read.call('', 'Relu', [read.input(convolution?.output[0] ?? '', DataType.FLOAT, [])])[0] as Value);
  const { graph } = read.finish();
  model.graph.node.push(...graph.node);
  model.graph.output.push(...graph.output);
  expect(fuseGroupNorms(model)).toBe(0);
});
