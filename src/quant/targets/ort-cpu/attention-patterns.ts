/** The nodes that attention is made of, as the passes that replace it look for them. */
import { integerAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, isStandard } from '../../../onnx/graph-index.ts';
import type { Infos } from '../../../onnx/infer/infer.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import type { NodeProto } from '../../../onnx/types.ts';

/** The number of dimensions of a value; undefined if it is not known. */
export const rankOf = (name: string, infos: Infos): number | undefined => infos.get(name)?.shape?.length;

/** True for an operator of dino8's domain. */
export const isOfDino8 = (node: NodeProto | undefined, operator: string): node is NodeProto =>
  node?.domain === DOMAIN && node.opType === operator;

/** The data [batch, rows, size] and the indices [batch, places, 1] of a node that takes rows of each image; undefined for other nodes. */
export function takenRows(
  node: NodeProto | undefined,
  infos: Infos,
): { readonly data: string; readonly indices: string } | undefined {
  if (!isStandard(node, 'GatherND') || integerAttribute(node, 'batch_dims', 0) !== 1) return undefined;
  const [data = '', indices = ''] = node.input;
  const shape = infos.get(indices)?.shape;
  return rankOf(data, infos) === 3 && shape?.length === 3 && shape[2] === 1 ? { data, indices } : undefined;
}

/** A softmax over the last of `rank` dimensions. */
export function isLastSoftmax(node: NodeProto | undefined, rank: number): node is NodeProto {
  const axis = node && integerAttribute(node, 'axis', -1);
  return node !== undefined && isStandard(node, 'Softmax') && (axis === -1 || axis === rank - 1);
}

/** The other input of a sum or a product that reads the result of a node. */
export function otherInput(reader: NodeProto, node: NodeProto): string | undefined {
  const others = reader.input.filter((name) => name !== node.output[0]);
  return others.length === 1 ? others[0] : undefined;
}

/** The constant shape of a Reshape, in which 0 stands for the size that the dimension has. */
export function reshapesTo(node: NodeProto | undefined, { initializer }: GraphIndex): number[] | undefined {
  const shape = node && isStandard(node, 'Reshape') ? initializer.get(node.input[1] ?? '') : undefined;
  const keepsZeros = node && integerAttribute(node, 'allowzero', 0) === 0;
  return shape && keepsZeros ? Array.from(tensorElements(shape), Number) : undefined;
}
