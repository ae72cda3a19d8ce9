/**
 * Faults that are planted in models are found by the tables of the runtimes. The expected findings are what the sources named
 * in the tables say; for OpenVINO, what version 2026.4.1 answered to such models.
 */
import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { deformableAttentionFunction } from '../../models/grounding-dino/deformable-attention.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { lowerModel } from '../../onnx/lower/lower.ts';
import { standardImport } from '../../onnx/opset.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { lintOperators } from './lint-operators.ts';
import { findTarget } from './targets.ts';

function lint(model: Model, target: string, version?: string) {
  const { operators } = findTarget(target);
  if (!operators) throw new Error(`${target} has no table`);
  return lintOperators(model, operators, version);
}

const rulesOf = (model: Model, target: string, version?: string) =>
  lint(model, target, version).map(({ rule }) => rule);

/** A model with an input x [1, 2, 4, 4], an input k of integers, and some stored tensors. */
function modelOf(nodes: readonly NodeProto[], stored: readonly TensorProto[] = [], opset = 17): Model {
  const b = new GraphBuilder('planted');
  b.input('k', DataType.INT64, [1]);
  b.output('y', b.identity(b.input('x', DataType.FLOAT, [1, 2, 4, 4])), undefined);
  const model = b.finish();
  model.opsetImport = [standardImport(opset)];
  model.graph.node = [...nodes];
  model.graph.initializer.push(...stored);
  model.graph.output = [makeValueInfo('y', DataType.FLOAT, undefined)];
  return model;
}

const grid = makeTensor('grid', [1, 2, 2, 2], new Float32Array(8));
const floatsOf = (name: string, ...values: number[]) =>
  makeTensor(name, values.length > 1 ? [values.length] : [], Float32Array.from(values));
const integersOf = (name: string, ...values: number[]) =>
  makeTensor(name, [values.length], BigInt64Array.from(values, BigInt));
const byte = (name: string, value: number) => makeTensor(name, [], Int8Array.of(value));
const pair = (x: string, y: string, scale = 'scale', zero = 'zero') => [
  makeNode('QuantizeLinear', `${x}/q`, [x, scale, zero], [`${x}.q`]),
  makeNode('DequantizeLinear', `${x}/dq`, [`${x}.q`, scale, zero], [y]),
];
const scale = floatsOf('scale', 0.1);
const zero = byte('zero', 0);
const weight = makeTensor('w', [4, 4], new Float32Array(16));

type Planted = [rule: string, model: Model, target: string, version?: string | undefined];

/** A model of one node that reads x. */
const nodeOf = (type: string, attributes = {}, inputs: readonly string[] = ['x'], outputs: readonly string[] = ['y']) =>
  makeNode(type, 'n', inputs, outputs, attributes);

/** A fault of one attribute. */
const attributeFault = (
  rule: string,
  type: string,
  attributes: object,
  version?: string,
  opset = 17,
  target = 'tensorrt',
): Planted => [rule, modelOf([nodeOf(type, attributes)], [], opset), target, version];

/** Of the attributes that OpenVINO 2026.4.1 refuses or does not read in the models of ONNX's own tests of operators. */
const inOpenVino = (rule: string, type: string, attributes: object): Planted =>
  attributeFault(rule, type, attributes, undefined, 20, 'openvino');

/** An input that is computed, where a runtime wants a stored one: k is an input of the model. */
const computedFault = (
  rule: string,
  type: string,
  inputs: readonly string[],
  version?: string,
  target = 'tensorrt',
): Planted => [rule, modelOf([nodeOf(type, {}, inputs)], [integersOf('K', 1)], 18), target, version];

/** Dropout that is in training by a stored tensor. */
const training = (target: string): Planted => [
  'training-mode',
  modelOf([nodeOf('Dropout', {}, ['x', '', 'yes'])], [makeTensor('yes', [], Uint8Array.of(1), DataType.BOOL)]),
  target,
];

/** A pair of x with faults, which Softmax reads. */
const pairFault = (rule: string, target: string, stored: readonly TensorProto[]): Planted => [
  rule,
  modelOf([...pair('x', 'h'), nodeOf('Relu', {}, ['h'])], stored),
  target,
];

/** A product of a dequantized x and a float weight. */
const halfQuantized = (type: string, target: string): Planted => [
  'both-inputs',
  modelOf([...pair('x', 'h'), nodeOf(type, {}, ['h', 'w'])], [scale, zero, weight]),
  target,
];

/** A product with a dequantized bias. */
const quantizedBias = (type: string, target: string): Planted => [
  'bias-float',
  modelOf(
    [...pair('x', 'h'), makeNode('DequantizeLinear', 'b', ['bias', 'scale'], ['c']), nodeOf(type, {}, ['h', 'h', 'c'])],
    [scale, zero, makeTensor('bias', [2], Int32Array.of(1, 2))],
  ),
  target,
];

/** A product whose result is quantized at once. */
const quantizedResult = (type: string): Planted => [
  'result-float',
  modelOf([...pair('x', 'h'), nodeOf(type, {}, ['h', 'h'], ['p']), ...pair('p', 'y')], [scale, zero]),
  'tensorrt',
];

const linear = modelOf([nodeOf('GridSample', { mode: 'linear' }, ['x', 'grid'])], [grid], 20);
const flatSample = modelOf(
  [makeNode('Reshape', 'm', ['x', 'K'], ['h']), nodeOf('GridSample', { mode: 'bilinear' }, ['h', 'grid'])],
  [integersOf('K', 1, 2, 2, 2, 4), grid],
);
const computedScale = modelOf(
  [makeNode('ReduceMax', 'm', ['x'], ['scale'], { keepdims: 0 }), ...pair('x', 'h'), nodeOf('Relu', {}, ['h'])],
  [zero],
);
const text = makeTensor('', [1], Float32Array.of(1));
const PRODUCTS = ['MatMul', 'Gemm', 'Conv'];
const REDUCTIONS = ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'Sum', 'SumSquare'];

const PLANTED: Planted[] = [
  ['opset', modelOf([nodeOf('Relu')], [], 21), 'tensorrt', '8.6'],
  ['opset', modelOf([nodeOf('Relu')], [], 26), 'tensorrt', '11'],
  ['operator', modelOf([nodeOf('Gelu')], [], 20), 'tensorrt', '8.6'],
  ['operator', modelOf([nodeOf('LayerNormalization', {}, ['x', 'w'])], [weight]), 'tensorrt', '8.5'],
  ['operator', modelOf([nodeOf('DynamicQuantizeLinear', {}, ['x'], ['y', 's', 'z'])]), 'tensorrt'],
  ['operator', modelOf([nodeOf('Det')]), 'openvino'],
  ['grid-sample-mode', linear, 'tensorrt', '10'],
  ['grid-sample-mode', linear, 'openvino', '2026.0'],
  ['grid-sample-rank', flatSample, 'tensorrt'],
  ['grid-sample-rank', flatSample, 'openvino'],
  [
    'layer-normalization-outputs',
    modelOf(
      [makeNode('LayerNormalization', 'n', ['x', 'w'], ['h', 'mean']), makeNode('Add', 'm', ['h', 'mean'], ['y'])],
      [weight],
    ),
    'tensorrt',
  ],
  attributeFault('shape-part', 'Shape', { start: 1 }, '8.6'),
  attributeFault('shape-part', 'Shape', { end: 2 }, '8.5'),
  computedFault('top-k-constant', 'TopK', ['x', 'k'], '8.5'),
  ['top-k-limit', modelOf([nodeOf('TopK', {}, ['x', 'K'], ['y', 'i'])], [integersOf('K', 4000)]), 'tensorrt'],
  ['top-k-sorted', modelOf([nodeOf('TopK', { sorted: 0 }, ['x', 'K'], ['y', 'i'])], [integersOf('K', 3)]), 'tensorrt'],
  attributeFault('scatter-reduction', 'ScatterND', { reduction: 'add' }, '8.6'),
  attributeFault('scatter-reduction', 'ScatterND', { reduction: 'none' }, '10'),
  attributeFault('scatter-reduction', 'ScatterElements', { reduction: 'mul' }, '8.5'),
  computedFault('cumulative-sum-axis', 'CumSum', ['x', 'k']),
  ...REDUCTIONS.map((each) => computedFault('reduction-axes', `Reduce${each}`, ['x', 'k'])),
  computedFault('slice-axes', 'Slice', ['x', 'K', 'K', 'k']),
  computedFault('squeeze-axes', 'Squeeze', ['x', 'k']),
  computedFault('unsqueeze-axes', 'Unsqueeze', ['x', 'k']),
  computedFault('pad-axes', 'Pad', ['x', 'K', '', 'k']),
  computedFault('one-hot-depth', 'OneHot', ['x', 'k', 'K']),
  computedFault('instance-normalization-constants', 'InstanceNormalization', ['x', 'k', 'K'], '8.5'),
  [
    'instance-normalization-rank',
    modelOf(
      [makeNode('Reshape', 'm', ['x', 'K'], ['h']), nodeOf('InstanceNormalization', {}, ['h', 'w', 'w'])],
      [integersOf('K', 1, 2, 2, 2, 2, 2), weight],
    ),
    'tensorrt',
    '8.5',
  ],
  attributeFault('pooling-dilations', 'AveragePool', { dilations: [1, 2] }, '10', 19),
  attributeFault('pooling-dilations', 'LpPool', { dilations: [2, 2] }, '10', 18),
  attributeFault('max-pool-dilations', 'MaxPool', { dilations: [2, 1] }),
  ['max-pool-indices', modelOf([nodeOf('MaxPool', {}, ['x'], ['h', 'y'])]), 'tensorrt'],
  attributeFault('resize-modes', 'Resize', { mode: 'cubic' }),
  attributeFault('resize-coordinates', 'Resize', { coordinate_transformation_mode: 'tf_crop_and_resize' }),
  attributeFault('resize-aspect-ratio', 'Resize', { keep_aspect_ratio_policy: 'not_larger' }, '10', 18),
  attributeFault('resize-antialiasing', 'Resize', { antialias: 1 }, '10', 18),
  attributeFault('norm-order', 'LpPool', { p: 3 }),
  attributeFault('norm-order', 'LpNormalization', { p: 3 }),
  attributeFault('training-mode', 'BatchNormalization', { training_mode: 1 }),
  computedFault('training-mode', 'Dropout', ['x', 'K', 'k']),
  computedFault('training-mode', 'Dropout', ['x', 'K', 'k'], undefined, 'openvino'),
  training('tensorrt'),
  training('openvino'),
  inOpenVino('resize-coordinates', 'Resize', { coordinate_transformation_mode: 'half_pixel_symmetric' }),
  inOpenVino('resize-aspect-ratio', 'Resize', { keep_aspect_ratio_policy: 'not_smaller' }),
  inOpenVino('resize-antialiasing', 'Resize', { antialias: 1 }),
  inOpenVino('pad-mode', 'Pad', { mode: 'wrap' }),
  ...['LSTM', 'GRU', 'RNN'].map((type) => inOpenVino('recurrent-layout', type, { layout: 1 })),
  attributeFault('operator', 'LpPool', {}, '2026.0', 17, 'openvino'),
  attributeFault('recurrent-layout', 'LSTM', { layout: 1 }),
  attributeFault('recurrent-forget', 'LSTM', { input_forget: 1 }),
  attributeFault('recurrent-layout', 'GRU', { layout: 1 }),
  attributeFault('recurrent-layout', 'RNN', { layout: 1 }),
  ['float-product', modelOf([nodeOf('MatMul', {}, ['k', 'k'])]), 'tensorrt'],
  ['float-product', modelOf([nodeOf('Gemm', {}, ['k', 'k'])]), 'tensorrt'],
  ['constant-numbers', modelOf([nodeOf('Constant', { value_string: 'a' }, [])]), 'tensorrt'],
  ['constant-numbers', modelOf([nodeOf('Constant', { value_strings: 'a' }, [])]), 'tensorrt'],
  ['constant-numbers', modelOf([nodeOf('Constant', { sparse_value: text }, [])]), 'tensorrt'],
  ['zero-point-given', modelOf([nodeOf('QuantizeLinear', {}, ['x', 'scale'])], [scale]), 'tensorrt', '8.6'],
  ['zero-point-given', modelOf([nodeOf('DequantizeLinear', {}, ['x', 'scale'])], [scale]), 'tensorrt', '8.6'],
  pairFault('zero-point-zero', 'tensorrt', [scale, byte('zero', 5)]),
  pairFault('integers', 'tensorrt', [scale, makeTensor('zero', [], Uint8Array.of(0))]),
  pairFault('integers', 'openvino', [scale, makeTensor('zero', [], Int16Array.of(0))]),
  pairFault('scale-positive', 'tensorrt', [floatsOf('scale', -1), zero]),
  ['scale-constant', computedScale, 'tensorrt'],
  ['scale-constant', computedScale, 'openvino'],
  pairFault('scale-of-activation', 'tensorrt', [floatsOf('scale', 0.1, 0.2), zero]),
  pairFault('scale-of-activation', 'openvino', [floatsOf('scale', 0.1, 0.2), zero]),
  ['dequantized-result', modelOf(pair('x', 'y'), [scale, zero]), 'tensorrt'],
  ['fuses', modelOf([...pair('x', 'h'), nodeOf('Softmax', {}, ['h'])], [scale, zero]), 'tensorrt'],
  ...PRODUCTS.flatMap((type) => [
    halfQuantized(type, 'tensorrt'),
    quantizedBias(type, 'tensorrt'),
    quantizedResult(type),
  ]),
  ...PRODUCTS.map((type) => halfQuantized(type, 'openvino')),
  quantizedBias('Conv', 'openvino'),
];

describe('planted faults', () => {
  test.each(PLANTED)('%s', (rule, model, target, version) => {
    const found = lint(model, target, version).filter((each) => each.rule === rule);
    expect(found.length).toBeGreaterThan(0);
    for (const { source, problem } of found) {
      expect(source).toMatch(/^https:\/\//);
      expect(problem).toMatch(/\((TensorRT|OpenVINO) .*\)$/);
    }
  });

  test.each(['tensorrt', 'openvino'])('of each rule of %s there is one', (target) => {
    const { rules = [] } = findTarget(target).operators ?? {};
    const mine = PLANTED.filter((each) => each[2] === target);
    const found = new Set(
      mine.flatMap(([, model, , version]) =>
        lint(model, target, version).map(
          ({ operator, problem }) => `${operator}: ${problem.replace(/ \([^()]*\)$/, '')}`,
        ),
      ),
    );
    expect(rules.map(({ operator, problem }) => `${operator}: ${problem}`).filter((each) => !found.has(each))).toEqual(
      [],
    );
  });

  test('what was written before: functions, version 21, and linear in the body of a function', () => {
    const call = makeNode('MultiScaleDeformableAttention', 'layer/attention', ['x'], ['y']);
    call.domain = 'ai.dino8';
    const model = modelOf([call], [], 21);
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'ai.dino8', version: 1n }));
    model.functions = [deformableAttentionFunction(2)];
    expect(new Set(rulesOf(model, 'tensorrt', '8.6'))).toEqual(
      new Set(['opset', 'functions', 'grid-sample-mode', 'shape-part']),
    );
    expect(rulesOf(model, 'tensorrt', '10')).toContain('grid-sample-mode');
    expect(rulesOf(model, 'tensorrt', '11')).toEqual(['grid-sample-mode', 'grid-sample-mode']);
    expect(rulesOf(model, 'openvino')).toContain('functions');
  });
});

test.each(['tensorrt', 'openvino'])('the portable form of the same operators has no faults for %s', (target) => {
  const model = modelOf(
    [makeNode('GridSample', 'n', ['x', 'grid'], ['h'], { mode: 'linear' }), makeNode('Gelu', 'm', ['h'], ['y'])],
    [grid],
    21,
  );
  expect(rulesOf(model, target)).not.toEqual([]);
  const low = copyModel(model);
  lowerModel(low, { opset: 17 });
  expect(rulesOf(low, target)).toEqual([]);
});

test('a version that is not known is refused', () => {
  expect(() => lint(modelOf([]), 'tensorrt', '7.2')).toThrow(/no version 7.2 of TensorRT; it knows 8.5, 8.6, 10, 11/);
});
