/** Weights that are stored as int8 and computed with in float: a quarter of the size where integers would gain no time. */
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../onnx/types.ts';
import type { PlanEntry } from '../plan-entry.ts';
import { type Additions, quantizeWeight } from '../weights.ts';

/** The nodes that replace `node`. */
export function storeAsIntegers(
  { quantizable, weight }: Pick<PlanEntry, 'quantizable' | 'weight'>,
  node: NodeProto,
  added: Additions,
): NodeProto[] {
  if (!weight) throw new Error(`${node.name} has no weight to store`);
  const { values, scale, zeroPoint } = quantizeWeight(weight, added);
  if (quantizable.form === 'lookup') return lookUp(node, 1 - weight.index, values, scale, added);
  const dequantized = `${node.name}.weight`;
  const replaced = makeNode(node.opType, node.name, node.input.with(weight.index, dequantized), node.output);
  replaced.attribute = node.attribute;
  return [
    makeNode('DequantizeLinear', `${node.name}.DequantizeLinear`, [values, scale, zeroPoint], [dequantized], {
      axis: weight.axis,
    }),
    replaced,
  ];
}

/** Only the rows that are looked up become float, each by its own scale. */
function lookUp(node: NodeProto, indices: number, values: string, scale: string, added: Additions): NodeProto[] {
  const inner = (suffix: string) => `${node.name}.${suffix}`;
  const rows = node.input[indices] ?? '';
  added.tensors.push(makeTensor(inner('axes'), [1], BigInt64Array.of(-1n)));
  return [
    makeNode('Gather', inner('Rows'), [values, rows], [inner('rows')], { axis: 0 }),
    makeNode('Cast', inner('Cast'), [inner('rows')], [inner('float')], { to: DataType.FLOAT }),
    makeNode('Gather', inner('Scales'), [scale, rows], [inner('scales')], { axis: 0 }),
    makeNode('Unsqueeze', inner('Unsqueeze'), [inner('scales'), inner('axes')], [inner('columns')]),
    makeNode('Mul', inner('Mul'), [inner('float'), inner('columns')], node.output),
  ];
}
