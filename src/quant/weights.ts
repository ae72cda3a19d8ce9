/**
 * Weights as 8-bit integers with one scale per output channel. What is added here are nodes that compute them from the
 * float weight; constant folding then runs them once and drops the float weight.
 */
import { makeNode } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { INT8, SMALLEST_SCALE } from './scheme.ts';

export interface QuantizedWeight {
  /** int8, the shape of the weight. */
  readonly values: string;
  /** float, [channels] */
  readonly scale: string;
  /** int8 zeros, [channels] */
  readonly zeroPoint: string;
}

/** Nodes and tensors that a rewrite adds to a graph. */
export interface Additions {
  readonly nodes: NodeProto[];
  readonly tensors: TensorProto[];
  /** The weights that are quantized already, by name: a head that is used twice is stored once. */
  readonly weights: Map<string, QuantizedWeight>;
}

/** Adds what computes q = round(w / scale), scale = max|w| / 127 over each channel of `axis`. */
export function quantizeWeight(weight: TensorProto, axis: number, added: Additions): QuantizedWeight {
  const { name } = weight;
  const known = added.weights.get(name);
  if (known) return known;
  const channels = Number(weight.dims[axis] ?? 0n);
  const others = weight.dims.flatMap((_, index) => (index === axis ? [] : [index]));
  const names = { values: `${name}.int8`, scale: `${name}.scale`, zeroPoint: `${name}.zero_point` };
  const inner = (what: string) => `${name}.${what}`;
  added.tensors.push(
    makeTensor(inner('axes'), [others.length], BigInt64Array.from(others, BigInt)),
    makeTensor(inner('highest'), [], Float32Array.of(INT8.highest)),
    makeTensor(inner('smallest'), [], Float32Array.of(SMALLEST_SCALE)),
    makeTensor(
      inner('column'),
      [weight.dims.length],
      BigInt64Array.from(weight.dims, (_, index) => (index === axis ? -1n : 1n)),
    ),
    makeTensor(names.zeroPoint, [channels], new Int8Array(channels)),
  );
  added.nodes.push(
    makeNode('Abs', inner('magnitude'), [name], [inner('magnitude')]),
    makeNode('ReduceMax', inner('range'), [inner('magnitude'), inner('axes')], [inner('range')], { keepdims: 0 }),
    makeNode('Div', inner('step'), [inner('range'), inner('highest')], [inner('step')]),
    makeNode('Max', names.scale, [inner('step'), inner('smallest')], [names.scale]),
    // QuantizeLinear would do the same in one node, and take 20 times as long where the channels are the last axis.
    makeNode('Reshape', inner('divisor'), [names.scale, inner('column')], [inner('divisor')]),
    makeNode('Div', inner('steps'), [name, inner('divisor')], [inner('steps')]),
    makeNode('Round', inner('rounded'), [inner('steps')], [inner('rounded')]),
    makeNode('Cast', names.values, [inner('rounded')], [names.values], { to: DataType.INT8 }),
  );
  added.weights.set(name, names);
  return names;
}
