/**
 * Dynamic INT8: the weight is stored as int8, the activation is quantized at each run by its own range. The form is the
 * one ONNX Runtime fuses into one operator: DynamicQuantizeLinear, MatMulInteger, and a float multiplication.
 */
import { makeNode } from '../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import type { Assignment } from './targets.ts';
import { type Additions, quantizeWeight } from './weights.ts';

/** What replaces `target.node`. Activations that feed several targets are quantized once: `shared` remembers them. */
export function quantizeDynamically(
  target: Assignment,
  shared: Map<string, DynamicActivation>,
  added: Additions,
): NodeProto[] {
  const { node, activation } = target;
  const inner = (what: string) => `${node.name}.${what}`;
  const [result = ''] = node.output;
  const weight = quantizeWeight(target.weight, target.channelAxis, added);
  const nodes: NodeProto[] = [];
  let quantized = shared.get(activation);
  if (!quantized) {
    quantized = { values: `${activation}.uint8`, scale: `${activation}.scale`, zeroPoint: `${activation}.zero_point` };
    shared.set(activation, quantized);
    const outputs = [quantized.values, quantized.scale, quantized.zeroPoint];
    nodes.push(makeNode('DynamicQuantizeLinear', inner('DynamicQuantizeLinear'), [activation], outputs));
  }
  const factors = [quantized.values, weight.values, quantized.zeroPoint, weight.zeroPoint];
  nodes.push(
    makeNode('MatMulInteger', inner('MatMulInteger'), factors, [inner('int32')]),
    makeNode('Cast', inner('Cast'), [inner('int32')], [inner('float')], { to: DataType.FLOAT }),
    makeNode('Mul', inner('Scale'), [quantized.scale, weight.scale], [inner('scale')]),
    makeNode('Mul', inner('Rescale'), [inner('float'), inner('scale')], [result]),
  );
  return nodes;
}

export interface DynamicActivation {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
}
