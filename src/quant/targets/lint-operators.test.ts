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

type Planted = [rule: string, model: Model, target: string, version?: string];

describe('planted faults', () => {
  test.each<Planted>([
    [
      'grid-sample-mode',
      modelOf([makeNode('GridSample', 'n', ['x', 'grid'], ['y'], { mode: 'linear' })], [grid], 20),
      'tensorrt',
      '10',
    ],
    [
      'grid-sample-mode',
      modelOf([makeNode('GridSample', 'n', ['x', 'grid'], ['y'], { mode: 'linear' })], [grid], 20),
      'openvino',
      '2026.0',
    ],
    ['opset', modelOf([makeNode('Relu', 'n', ['x'], ['y'])], [], 21), 'tensorrt', '8.6'],
    ['opset', modelOf([makeNode('Relu', 'n', ['x'], ['y'])], [], 26), 'tensorrt', '11'],
    ['operator', modelOf([makeNode('Gelu', 'n', ['x'], ['y'])], [], 20), 'tensorrt', '8.6'],
    ['operator', modelOf([makeNode('LayerNormalization', 'n', ['x', 'w'], ['y'])], [weight]), 'tensorrt', '8.5'],
    ['operator', modelOf([makeNode('DynamicQuantizeLinear', 'n', ['x'], ['y', 's', 'z'])]), 'tensorrt'],
    ['operator', modelOf([makeNode('Det', 'n', ['x'], ['y'])]), 'openvino'],
    [
      'layer-normalization-outputs',
      modelOf(
        [makeNode('LayerNormalization', 'n', ['x', 'w'], ['h', 'mean']), makeNode('Add', 'm', ['h', 'mean'], ['y'])],
        [weight],
      ),
      'tensorrt',
    ],
    ['top-k-constant', modelOf([makeNode('TopK', 'n', ['x', 'k'], ['y', 'i'])]), 'tensorrt', '8.5'],
    ['top-k-limit', modelOf([makeNode('TopK', 'n', ['x', 'K'], ['y', 'i'])], [integersOf('K', 4000)]), 'tensorrt'],
    [
      'top-k-sorted',
      modelOf([makeNode('TopK', 'n', ['x', 'K'], ['y', 'i'], { sorted: 0 })], [integersOf('K', 3)]),
      'tensorrt',
    ],
    [
      'scatter-reduction',
      modelOf([makeNode('ScatterND', 'n', ['x', 'i', 'x'], ['y'], { reduction: 'add' })], [integersOf('i', 0)]),
      'tensorrt',
    ],
    ['cumulative-sum-axis', modelOf([makeNode('CumSum', 'n', ['x', 'k'], ['y'])]), 'tensorrt'],
    ['slice-axes', modelOf([makeNode('Slice', 'n', ['x', 'K', 'K', 'k'], ['y'])], [integersOf('K', 1)]), 'tensorrt'],
    [
      'instance-normalization-rank',
      modelOf(
        [makeNode('Reshape', 'm', ['x', 'K'], ['h']), makeNode('InstanceNormalization', 'n', ['h', 'w', 'w'], ['y'])],
        [integersOf('K', 1, 2, 2, 2, 2, 2), weight],
      ),
      'tensorrt',
      '8.5',
    ],
    [
      'resize-modes',
      modelOf([makeNode('Resize', 'n', ['x', '', 'K'], ['y'], { mode: 'cubic' })], [integersOf('K', 1)]),
      'tensorrt',
    ],
    ['zero-point-zero', modelOf(pair('x', 'y'), [scale, byte('zero', 5)]), 'tensorrt'],
    ['integers', modelOf(pair('x', 'y'), [scale, makeTensor('zero', [], Uint8Array.of(0))]), 'tensorrt'],
    ['integers', modelOf(pair('x', 'y'), [scale, makeTensor('zero', [], Int16Array.of(0))]), 'openvino'],
    ['scale-positive', modelOf(pair('x', 'y'), [floatsOf('scale', -1), zero]), 'tensorrt'],
    [
      'scale-constant',
      modelOf([makeNode('ReduceMax', 'm', ['x'], ['scale'], { keepdims: 0 }), ...pair('x', 'y')], [zero]),
      'tensorrt',
    ],
    ['scale-of-activation', modelOf(pair('x', 'y'), [floatsOf('scale', 0.1, 0.2), zero]), 'tensorrt'],
    ['zero-point-given', modelOf([makeNode('QuantizeLinear', 'n', ['x', 'scale'], ['y'])], [scale]), 'tensorrt', '8.6'],
    ['dequantized-result', modelOf(pair('x', 'y'), [scale, zero]), 'tensorrt'],
    ['fuses', modelOf([...pair('x', 'h'), makeNode('Softmax', 'n', ['h'], ['y'])], [scale, zero]), 'tensorrt'],
    [
      'both-inputs',
      modelOf([...pair('x', 'h'), makeNode('MatMul', 'n', ['h', 'w'], ['y'])], [scale, zero, weight]),
      'tensorrt',
    ],
    [
      'bias-float',
      modelOf(
        [
          ...pair('x', 'h'),
          makeNode('DequantizeLinear', 'b', ['bias', 'scale'], ['c']),
          makeNode('Conv', 'n', ['h', 'h', 'c'], ['y']),
        ],
        [scale, zero, makeTensor('bias', [2], Int32Array.of(1, 2))],
      ),
      'tensorrt',
    ],
    [
      'result-float',
      modelOf([...pair('x', 'h'), makeNode('MatMul', 'n', ['h', 'h'], ['p']), ...pair('p', 'y')], [scale, zero]),
      'tensorrt',
    ],
  ])('%s', (rule, model, target, version) => {
    const found = lint(model, target, version).filter((each) => each.rule === rule);
    expect(found.length).toBeGreaterThan(0);
    for (const { source, problem } of found) {
      expect(source).toMatch(/^https:\/\//);
      expect(problem).toMatch(/\((TensorRT|OpenVINO) .*\)$/);
    }
  });

  test('what was written before: functions, version 21, and linear in the body of a function', () => {
    const call = makeNode('MultiScaleDeformableAttention', 'layer/attention', ['x'], ['y']);
    call.domain = 'ai.dino8';
    const model = modelOf([call], [], 21);
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: 'ai.dino8', version: 1n }));
    model.functions = [deformableAttentionFunction(2)];
    expect(new Set(rulesOf(model, 'tensorrt', '8.6'))).toEqual(new Set(['opset', 'functions', 'grid-sample-mode']));
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
