/** Weights that are kept as int8 and computed with in float: a quarter of the size where integers would gain no time. */
import { makeNode } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import type { Assignment } from './targets.ts';
import { type Additions, quantizeWeight } from './weights.ts';

/** What replaces `target.node`. */
export function storeAsIntegers(target: Assignment, added: Additions): NodeProto[] {
  const { node, weightInput, channelAxis } = target;
  const weight = quantizeWeight(target.weight, channelAxis, added, target.weights);
  if (node.opType === 'Gather') return lookUp(target, weight.values, weight.scale, added);
  const dequantized = `${node.name}.weight`;
  const parameters = [weight.values, weight.scale, weight.zeroPoint];
  const replaced = makeNode(node.opType, node.name, node.input.with(weightInput, dequantized), node.output);
  replaced.attribute = node.attribute;
  return [
    makeNode('DequantizeLinear', `${node.name}.DequantizeLinear`, parameters, [dequantized], { axis: channelAxis }),
    replaced,
  ];
}

/** Only the rows that are looked up become float, each by the scale of its own. */
function lookUp({ node, activation }: Assignment, values: string, scale: string, added: Additions): NodeProto[] {
  const inner = (what: string) => `${node.name}.${what}`;
  added.tensors.push(makeTensor(inner('axes'), [1], BigInt64Array.of(-1n)));
  return [
    makeNode('Gather', inner('Rows'), [values, activation], [inner('rows')], { axis: 0 }),
    makeNode('Cast', inner('Cast'), [inner('rows')], [inner('float')], { to: DataType.FLOAT }),
    makeNode('Gather', inner('Scales'), [scale, activation], [inner('scales')], { axis: 0 }),
    makeNode('Unsqueeze', inner('Unsqueeze'), [inner('scales'), inner('axes')], [inner('columns')]),
    makeNode('Mul', inner('Mul'), [inner('float'), inner('columns')], node.output),
  ];
}
