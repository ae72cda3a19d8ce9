/** ONNX Runtime is the oracle: it computes the same before and after a model is brought into dino8's form. */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';
import { type Feeds, Session } from '../../runtime/session.ts';
import { floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { float } from '../attributes.ts';
import { copyModel } from '../copy.ts';
import type { Model } from '../read.ts';
import { makeNode } from '../rewrite.ts';
import { makeTensor } from '../tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../types.ts';
import { makeValueInfo } from '../value-info.ts';
import { modelBytes } from '../write.ts';
import { findHardSwish } from './find-hard-swish.ts';
import { foldAffine } from './fold-affine.ts';
import { fixDefaults, nameNodes, storeConstants } from './plain-graph.ts';
import { raiseOpset } from './raise-opset.ts';

/** A model with one float input x and one float output y. */
function modelOf(opset: number, shape: readonly number[], node: NodeProto[], initializer: TensorProto[] = []): Model {
  const graph = create(GraphProtoSchema, { name: 'toy', node, initializer });
  graph.input.push(makeValueInfo('x', DataType.FLOAT, shape));
  graph.output.push(makeValueInfo('y', DataType.FLOAT, undefined));
  const message = create(ModelProtoSchema, {
    irVersion: 8n,
    opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) })],
    graph,
  });
  return Object.assign(message, { graph });
}

async function run(model: Model, feeds: Feeds): Promise<{ shape: readonly number[]; data: number[] }> {
  await using session = await Session.create(modelBytes(model), { optimization: 'none' });
  using outputs = await session.run(feeds);
  const y = outputs.get('y');
  return { shape: y.shape, data: [...floatData(y)] };
}

const feedsOf = (shape: readonly number[]): Feeds => ({
  x: floats(
    noise(
      shape.reduce((product, size) => product * size, 1),
      1,
    ).map((value) => 4 * value),
    shape,
  ),
});

const constant = (name: string, shape: readonly number[], values: readonly number[]) =>
  makeTensor(name, shape, Float32Array.from(values));

describe('raising the operator set', () => {
  const axes = { axes: [1] };
  test.each<[string, number, NodeProto[], TensorProto[]?]>([
    ['Clip with bounds', 9, [makeNode('Clip', 'n', ['x'], ['y'], { min: float(-1), max: float(0.5) })]],
    ['Clip without bounds', 9, [makeNode('Clip', 'n', ['x'], ['y'])]],
    ['Slice', 9, [makeNode('Slice', 'n', ['x'], ['y'], { starts: [1, 0], ends: [3, 2], axes: [1, 2] })]],
    ['Pad', 9, [makeNode('Pad', 'n', ['x'], ['y'], { pads: [0, 1, 0, 0, 0, 2], value: float(0.5) })]],
    ['Softmax over several dimensions', 9, [makeNode('Softmax', 'n', ['x'], ['y'], { axis: 1 })]],
    ['Softmax with the old default axis', 11, [makeNode('Softmax', 'n', ['x'], ['y'])]],
    ['Softmax over the last dimension', 9, [makeNode('Softmax', 'n', ['x'], ['y'], { axis: 2 })]],
    ['LogSoftmax with a negative axis', 12, [makeNode('LogSoftmax', 'n', ['x'], ['y'], { axis: -2 })]],
    ['ReduceSum', 11, [makeNode('ReduceSum', 'n', ['x'], ['y'], { ...axes, keepdims: 0 })]],
    ['ReduceMean over all', 11, [makeNode('ReduceMean', 'n', ['x'], ['y'], { keepdims: 1 })]],
    ['ReduceMax', 13, [makeNode('ReduceMax', 'n', ['x'], ['y'], { axes: [-1] })]],
    [
      'Unsqueeze and Squeeze',
      9,
      [
        makeNode('Unsqueeze', 'a', ['x'], ['u'], { axes: [0, 2] }),
        makeNode('Squeeze', 'b', ['u'], ['y'], { axes: [0] }),
      ],
    ],
    [
      'Split into parts of given and of equal sizes',
      9,
      [
        makeNode('Split', 'a', ['x'], ['p', 'q'], { axis: 1, split: [1, 3] }),
        makeNode('Split', 'b', ['q'], ['r', 's', 't'], { axis: 1 }),
        makeNode('Concat', 'c', ['t', 'p', 's'], ['y'], { axis: 1 }),
      ],
    ],
    ['TopK', 9, [makeNode('TopK', 'a', ['x'], ['y', 'i'], { k: 2, axis: -1 })]],
    ['Dropout', 9, [makeNode('Dropout', 'a', ['x'], ['d'], { ratio: float(0.5) }), makeNode('Neg', 'b', ['d'], ['y'])]],
    [
      'Scatter, as elements',
      9,
      [makeNode('Scatter', 'a', ['x', 'i', 'u'], ['y'], { axis: 0 })],
      [makeTensor('i', [1, 1, 2], BigInt64Array.of(1n, 0n)), constant('u', [1, 1, 2], [7, 8])],
    ],
  ])('%s keeps its results', async (_, opset, nodes, tensors = []) => {
    const shape = [2, 4, 6];
    const model = modelOf(opset, shape, nodes, tensors);
    const before = await run(model, feedsOf(shape));
    expect(raiseOpset(model, 'toy')).toBe(opset);
    expect(await run(model, feedsOf(shape))).toEqual(before);
  });

  test.each<[string, number, NodeProto, TensorProto[]]>([
    [
      'Upsample',
      9,
      makeNode('Upsample', 'n', ['x', 's'], ['y'], { mode: 'nearest' }),
      [constant('s', [4], [1, 1, 2, 3])],
    ],
    ['Upsample', 7, makeNode('Upsample', 'n', ['x'], ['y'], { scales: [1, 1, 2, 2].map(float), mode: 'linear' }), []],
    ['Resize', 10, makeNode('Resize', 'n', ['x', 's'], ['y'], { mode: 'linear' }), [constant('s', [4], [1, 1, 2, 2])]],
  ])('%s of version %i keeps its results', async (_, opset, node, tensors) => {
    const shape = [1, 2, 3, 4];
    const model = modelOf(opset, shape, [node], tensors);
    const before = await run(model, feedsOf(shape));
    raiseOpset(model, 'toy');
    const after = await run(model, feedsOf(shape));
    expect(after.shape).toEqual(before.shape);
    for (const [index, value] of after.data.entries()) expect(value).toBeCloseTo(before.data[index] ?? Number.NaN, 5);
  });

  test('a newer model stays as it is', () => {
    const model = modelOf(22, [2], [makeNode('Neg', 'n', ['x'], ['y'])]);
    expect(raiseOpset(model, 'toy')).toBe(22);
    expect(model.opsetImport[0]?.version).toBe(22n);
  });

  test.each([
    ['a version that is too old', modelOf(6, [2], [makeNode('Neg', 'n', ['x'], ['y'])])],
    ['a dropout whose mask is used', modelOf(9, [2], [makeNode('Dropout', 'a', ['x'], ['y', 'mask'], {})])],
  ])('%s is refused', (_, model) => {
    expect(() => raiseOpset(model, 'toy.onnx')).toThrow(InputError);
  });
});

describe('plain graphs', () => {
  test('constants of every kind become initializers with the same results', async () => {
    const nodes = [
      makeNode('Constant', '', [], ['a'], { value: constant('', [2], [1, 2]) }),
      makeNode('Constant', '', [], ['b'], { value_float: float(3) }),
      makeNode('Constant', '', [], ['c'], { value_floats: [float(4), float(5)] }),
      makeNode('Constant', '', [], ['shape'], { value_ints: [2, -1] }),
      makeNode('Add', '', ['x', 'a'], ['p']),
      makeNode('Mul', '', ['p', 'b'], ['q']),
      makeNode('Sub', '', ['q', 'c'], ['r']),
      makeNode('Reshape', '', ['r', 'shape'], ['y']),
    ];
    const model = modelOf(13, [3, 2], nodes);
    const before = await run(model, feedsOf([3, 2]));
    expect(storeConstants(model.graph)).toBe(4);
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(['Add', 'Mul', 'Sub', 'Reshape']);
    expect(await run(model, feedsOf([3, 2]))).toEqual(before);
  });

  test('weights that are listed as inputs are not inputs any more', () => {
    const model = modelOf(9, [2], [makeNode('Add', '', ['x', 'w'], ['y'])], [constant('w', [2], [1, 2])]);
    model.graph.input.push(makeValueInfo('w', DataType.FLOAT, [2]));
    expect(fixDefaults(model.graph)).toBe(1);
    expect(model.graph.input.map(({ name }) => name)).toEqual(['x']);
  });

  test('every node gets a unique name that is a path', () => {
    const nodes = [
      makeNode('Conv', '/backbone/conv1/Conv', ['x'], ['a']),
      makeNode('Conv', '', ['a'], ['conv2d_5.tmp_0']),
      makeNode('Relu', 'relu', ['b'], ['c']),
      makeNode('Relu', 'relu', ['c'], ['d']),
      makeNode('Relu', '', ['d'], ['layer/2/out']),
    ];
    const { graph } = modelOf(13, [1], nodes);
    nameNodes(graph);
    expect(graph.node.map(({ name }) => name)).toEqual([
      'backbone.conv1/Conv',
      'conv2d_5.tmp_0/Conv',
      'relu/Relu',
      'relu/Relu_2',
      'layer.2.out/Relu',
    ]);
  });
});

describe('hard swish', () => {
  const six = constant('six', [], [6]);
  const bounds = [constant('zero', [], [0]), six, constant('three', [1], [3]), constant('sixth', [], [1 / 6])];
  const clip = [makeNode('Add', 'a', ['x', 'three'], ['s']), makeNode('Clip', 'b', ['s', 'zero', 'six'], ['c'])];
  test.each<[string, NodeProto[], string[]]>([
    [
      '(x · clip) / 6',
      [...clip, makeNode('Mul', 'm', ['x', 'c'], ['p']), makeNode('Div', 'd', ['p', 'six'], ['y'])],
      ['HardSwish'],
    ],
    [
      'x · (clip / 6)',
      [...clip, makeNode('Div', 'd', ['c', 'six'], ['p']), makeNode('Mul', 'm', ['x', 'p'], ['y'])],
      ['HardSwish'],
    ],
    [
      '(clip · x) · 1/6',
      [...clip, makeNode('Mul', 'm', ['c', 'x'], ['p']), makeNode('Mul', 'd', ['p', 'sixth'], ['y'])],
      ['HardSwish'],
    ],
    ['clip / 6', [...clip, makeNode('Div', 'd', ['c', 'six'], ['y'])], ['HardSigmoid']],
    [
      'x · HardSigmoid(x)',
      [
        makeNode('HardSigmoid', 'h', ['x'], ['g'], { alpha: float(1 / 6), beta: float(0.5) }),
        makeNode('Mul', 'm', ['g', 'x'], ['y']),
      ],
      ['HardSwish'],
    ],
    [
      'something else: 6 / (x · clip)',
      [...clip, makeNode('Mul', 'm', ['x', 'c'], ['p']), makeNode('Div', 'd', ['six', 'p'], ['y'])],
      ['Add', 'Clip', 'Mul', 'Div'],
    ],
    ['something else: x · clip', [...clip, makeNode('Mul', 'm', ['x', 'c'], ['y'])], ['Add', 'Clip', 'Mul']],
  ])('%s', async (_, nodes, expected) => {
    const model = modelOf(17, [50], nodes, bounds);
    const before = await run(model, feedsOf([50]));
    findHardSwish(model);
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(expected);
    const after = await run(model, feedsOf([50]));
    for (const [index, value] of after.data.entries()) expect(value).toBeCloseTo(before.data[index] ?? Number.NaN, 5);
  });
});

describe('folding operations that scale and shift channels', () => {
  const weights = [makeTensor('w', [4, 3, 2, 2], noise(48, 2)), makeTensor('b', [4], noise(4, 3))];
  const perChannel = makeTensor('k', [4, 1, 1], noise(4, 4));
  const scalar = constant('s', [1], [0.7]);
  const normal = ['g', 'h', 'm'].map((name, index) => makeTensor(name, [4], noise(4, 5 + index)));
  const variance = constant('v', [4], [0.5, 1, 2, 0.1]);
  const tensors = [...weights, perChannel, scalar, ...normal, variance];
  const conv = (...bias: string[]) => makeNode('Conv', 'conv', ['x', 'w', ...bias], ['c']);
  const batch = (input: string, output: string) =>
    makeNode('BatchNormalization', 'bn', [input, 'g', 'h', 'm', 'v'], [output], { epsilon: float(1e-3) });

  test.each<[string, NodeProto[], number]>([
    ['batch normalisation', [conv(), batch('c', 'y')], 1],
    ['batch normalisation behind a bias', [conv('b'), batch('c', 'y')], 1],
    [
      'a chain',
      [
        conv('b'),
        makeNode('Mul', '1', ['c', 'k'], ['d']),
        makeNode('Add', '2', ['s', 'd'], ['e']),
        makeNode('Div', '3', ['e', 's'], ['f']),
        makeNode('Sub', '4', ['f', 'k'], ['y']),
      ],
      4,
    ],
    ['a bias that is added', [conv(), makeNode('Add', '1', ['k', 'c'], ['y'])], 1],
    [
      'a value that is used twice, which stays',
      [conv('b'), makeNode('Mul', '1', ['c', 's'], ['d']), makeNode('Add', '2', ['c', 'd'], ['y'])],
      0,
    ],
    ['a constant divided by the result, which stays', [conv('b'), makeNode('Div', '1', ['s', 'c'], ['y'])], 0],
    [
      'numbers before convolutions that do not pad',
      [
        makeNode('Mul', '1', ['x', 's'], ['d']),
        makeNode('Add', '2', ['s', 'd'], ['e']),
        makeNode('Conv', 'conv', ['e', 'w', 'b'], ['y']),
      ],
      2,
    ],
    [
      'a number that is multiplied before a convolution that pads',
      [
        makeNode('Add', '1', ['x', 's'], ['d']),
        makeNode('Mul', '2', ['d', 's'], ['e']),
        makeNode('Conv', 'conv', ['e', 'w'], ['y'], { pads: [1, 1, 1, 1] }),
      ],
      1,
    ],
    ['a transposed convolution', [makeNode('ConvTranspose', 't', ['x', 'u'], ['c']), batch('c', 'y')], 1],
  ])('%s', async (_, nodes, folded) => {
    const all = [...tensors, makeTensor('u', [3, 4, 2, 2], noise(48, 9))];
    const model = modelOf(17, [1, 3, 5, 5], nodes, all);
    const before = await run(copyModel(model), feedsOf([1, 3, 5, 5]));
    expect(foldAffine(model)).toBe(folded);
    await foldConstants(model);
    expect(model.graph.node).toHaveLength(nodes.length - folded);
    const after = await run(model, feedsOf([1, 3, 5, 5]));
    for (const [index, value] of after.data.entries()) expect(value).toBeCloseTo(before.data[index] ?? Number.NaN, 3);
  });

  // With an index made anew for each, this takes minutes.
  test('thousands of layers take time in proportion', () => {
    const count = 3000;
    const layers = Array.from({ length: count }, (_, at) => [
      makeNode('Conv', `c${at}`, [at === 0 ? 'x' : `m${at - 1}`, 'w'], [`c${at}`]),
      makeNode('Mul', `m${at}`, [`c${at}`, 's'], [at === count - 1 ? 'y' : `m${at}`]),
    ]);
    const model = modelOf(17, [1, 3, 5, 5], layers.flat(), [makeTensor('w', [3, 3, 1, 1], noise(9, 2)), scalar]);
    expect(foldAffine(model)).toBe(count);
    expect(model.graph.node.filter(({ opType }) => opType === 'Conv')).toHaveLength(count);
  });

  test.each([0, 1])('a Gemm with transB=%i keeps its results', async (transB) => {
    const nodes = [
      makeNode('Gemm', 'gemm', ['x', 'w', 'b'], ['c'], { transB }),
      makeNode('BatchNormalization', 'bn', ['c', 'g', 'h', 'm', 'v'], ['y']),
    ];
    const shape = transB ? [4, 3] : [3, 4];
    const model = modelOf(17, [2, 3], nodes, [makeTensor('w', shape, noise(12, 2)), ...tensors.slice(1)]);
    const before = await run(copyModel(model), feedsOf([2, 3]));
    expect(foldAffine(model)).toBe(1);
    const after = await run(model, feedsOf([2, 3]));
    for (const [index, value] of after.data.entries()) expect(value).toBeCloseTo(before.data[index] ?? Number.NaN, 3);
  });
});
