/** The number of multiply-adds of a node, from the shapes of its values. */
import { checkFields } from '../base/check-options.ts';
import { integerAttribute } from './attributes.ts';
import { DEFORMABLE_ATTENTION, DOMAIN, QUANTIZED } from './dino8-operators.ts';
import { type Dimension, elementCount, type NodeProto } from './types.ts';

/** The shape of a value by name; undefined if it is not known. */
export type ShapeOf = (value: string) => readonly Dimension[] | undefined;

/** A bilinear sample is a weighted sum of four pixels. */
const CORNERS = 4;

/**
 * Returns the number of multiply-adds of a node: of a matrix product, a convolution or deformable attention. It is 0 for all
 * other operators, whose cost is that of passing over their values, and for calls of functions; `countMultiplyAdds` counts
 * those by their bodies.
 * @returns undefined if a shape that is needed is not known
 * @example
 * const infos = inferShapes(model);
 * const work = model.graph.node.map((node) => multiplyAdds(node, (name) => infos.get(name)?.shape) ?? 0);
 */
export function multiplyAdds(node: NodeProto, shapeOf: ShapeOf): number | undefined {
  checkFields('The node must be a node of a graph', node, 'opType', 'input');
  const shape = (name = '') => wholeShape(shapeOf(name));
  const [result, a, b] = [shape(node.output[0]), shape(node.input[0]), shape(node.input[1])];
  const isOurs = node.domain === DOMAIN && node.opType.replace(QUANTIZED, '') === DEFORMABLE_ATTENTION;
  if (isOurs) return deformableMultiplyAdds(a, shape(node.input[7]));
  if (node.domain === 'com.microsoft' && node.opType === 'MatMulIntegerToFloat')
    return result && a && elementCount(result) * (a.at(-1) ?? 1);
  if (node.domain !== '') return 0;
  switch (node.opType) {
    case 'MatMul':
    case 'MatMulInteger':
      return result && a && elementCount(result) * (a.at(-1) ?? 1);
    case 'Gemm':
      return result && a && elementCount(result) * (a[integerAttribute(node, 'transA', 0) ? 0 : 1] ?? 1);
    case 'Conv':
    case 'ConvInteger':
      // The weight is [outputs, inputs per group, …kernel]; the sum runs over all but the first dimension.
      return result && b && elementCount(result) * elementCount(b.slice(1));
    default:
      return 0;
  }
}

/** values [batch, positions, heads, channels], attention logits [batch, queries, heads, levels · points] */
function deformableMultiplyAdds(values?: readonly number[], logits?: readonly number[]): number | undefined {
  return values && logits && elementCount(logits) * CORNERS * (values.at(-1) ?? 1);
}

function wholeShape(shape: readonly Dimension[] | undefined): readonly number[] | undefined {
  const known = shape?.filter((dimension) => typeof dimension === 'number');
  return known?.length === shape?.length ? known : undefined;
}
