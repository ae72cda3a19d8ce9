/** The bias of a linear layer, which the graph adds to its product in a node of its own. */
import type { GraphIndex } from '../onnx/graph-index.ts';
import type { NodeProto } from '../onnx/types.ts';

/** A bias that is added to a product and nothing else: its node is taken into the product. */
export interface Bias {
  readonly node: NodeProto;
  readonly values: string;
}

/** The addition of a stored vector that is all that happens to a product. */
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
