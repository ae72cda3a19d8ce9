/**
 * Int8 weights with a scale for each column become floats in two steps. ONNX Runtime's DequantizeLinear takes the numbers one by
 * one where neighbours have different scales, and whole vectors where all have one: 0.34 and 0.03 ms for 262,144 numbers. So the
 * scale of that node is 1, and Mul multiplies by those of the columns, which gives the same floats to the bit.
 */
import { makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import type { Additions } from '../../weights.ts';

/** The same nodes with the two steps in the place of a DequantizeLinear of `weight` along its last axis. Zero points are 0. */
export function scaleColumns(nodes: NodeProto[], weight: PlanEntry['weight'], added: Additions): NodeProto[] {
  if (weight?.axis !== (weight?.weight.dims.length ?? 0) - 1) return nodes;
  return nodes.flatMap((node) => {
    if (node.opType !== 'DequantizeLinear') return [node];
    const [values = '', scales = ''] = node.input;
    const inner = (suffix: string) => `${node.name}.${suffix}`;
    added.tensors.push(makeTensor(inner('one'), [], Float32Array.of(1)));
    return [
      makeNode('DequantizeLinear', node.name, [values, inner('one')], [inner('unscaled')]),
      makeNode('Mul', inner('Scale'), [inner('unscaled'), scales], node.output),
    ];
  });
}
