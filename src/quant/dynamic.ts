/**
 * Dynamic INT8: the weight is stored as int8, the activation is quantized at each run by its own range. The form is the
 * one ONNX Runtime fuses into one operator: DynamicQuantizeLinear, MatMulInteger, and a float multiplication.
 */
import { makeNode } from '../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import type { Assignment } from './targets.ts';
import { type Additions, quantizeWeight } from './weights.ts';

/** A quantized activation: uint8 values, and the scale and zero point of the run. */
export interface DynamicActivation {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** The activations of a graph that are quantized already: one that feeds several products is quantized once. */
export type DynamicActivations = Map<string, DynamicActivation>;

/** What replaces a product of an activation with a weight. */
export function quantizeDynamically(target: Assignment, shared: DynamicActivations, added: Additions): NodeProto[] {
  const { node, activation } = target;
  const quantized = quantizeActivation(node, activation, shared);
  const weight = quantizeWeight(target.weight, target.channelAxis, added, target.weights);
  return [...quantized.nodes, ...integerProduct(node, quantized.activation, weight)];
}

/** What replaces a product of two activations. */
export function quantizeProduct(node: NodeProto, shared: DynamicActivations): NodeProto[] {
  const [a = '', b = ''] = node.input;
  const left = quantizeActivation(node, a, shared);
  const right = quantizeActivation(node, b, shared);
  return [...left.nodes, ...right.nodes, ...integerProduct(node, left.activation, right.activation)];
}

/** What replaces a deformable attention of float values: it reads them as bytes. */
export function quantizeValues(node: NodeProto, shared: DynamicActivations): NodeProto[] {
  const [value = '', , , ...others] = node.input;
  const { activation, nodes } = quantizeActivation(node, value, shared);
  const { values, scale, zeroPoint } = activation;
  return [...nodes, { ...node, input: [values, scale, zeroPoint, ...others] }];
}

function quantizeActivation(node: NodeProto, name: string, shared: DynamicActivations) {
  const known = shared.get(name);
  if (known) return { activation: known, nodes: [] };
  const activation = { values: `${name}.uint8`, scale: `${name}.scale`, zeroPoint: `${name}.zero_point` };
  shared.set(name, activation);
  const outputs = [activation.values, activation.scale, activation.zeroPoint];
  const label = `${node.name}.DynamicQuantizeLinear${node.input.indexOf(name) === 1 ? '2' : ''}`;
  return { activation, nodes: [makeNode('DynamicQuantizeLinear', label, [name], outputs)] };
}

/** Integer product, then back to float by the product of the scales: ONNX Runtime fuses the four. */
function integerProduct(node: NodeProto, a: DynamicActivation, b: DynamicActivation): NodeProto[] {
  const inner = (what: string) => `${node.name}.${what}`;
  return [
    makeNode('MatMulInteger', inner('MatMulInteger'), [a.values, b.values, a.zeroPoint, b.zeroPoint], [inner('int32')]),
    makeNode('Cast', inner('Cast'), [inner('int32')], [inner('float')], { to: DataType.FLOAT }),
    makeNode('Mul', inner('Scale'), [a.scale, b.scale], [inner('scale')]),
    makeNode('Mul', inner('Rescale'), [inner('float'), inner('scale')], node.output),
  ];
}
