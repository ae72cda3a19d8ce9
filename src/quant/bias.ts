/** The bias of a linear layer, which the graph adds to the product in a node of its own. */
import type { GraphIndex } from '../onnx/graph-index.ts';
import type { NodeProto } from '../onnx/types.ts';

/** A stored vector that is added to the result of a product. */
export interface Bias {
  /** The node that adds it. */
  readonly node: NodeProto;
  /** The name of the vector. */
  readonly values: string;
}

/**
 * The bias of a product.
 *
 * @returns undefined if the result of the product is used by anything but the addition of a stored vector
 */
export function biasOf(
  { output: [product = ''] }: NodeProto,
  { consumers, initializer, outputs }: GraphIndex,
): Bias | undefined {
  const [node, ...others] = consumers.get(product) ?? [];
  if (!node || others.length > 0 || outputs.has(product) || node.opType !== 'Add' || node.domain !== '')
    return undefined;
  const [values] = node.input.filter((name) => name !== product);
  return values !== undefined && initializer.get(values)?.dims.length === 1 ? { node, values } : undefined;
}
