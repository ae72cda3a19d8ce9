/** Values that hold the same numbers in another arrangement have one range: they are observed once, where the numbers are computed. */
import { findAttribute } from '../../onnx/attributes.ts';
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { NodeProto } from '../../onnx/types.ts';

/** Nodes whose first result holds numbers of their first input only. Pad and Concat add others. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity', 'Split', 'Slice']);

/** The value that `name` is an arrangement or a part of; `name` itself if it is neither. */
export function sourceOf(name: string, { producer, initializer }: GraphIndex): string {
  let current = name;
  for (let node = producer.get(current); node; node = producer.get(current)) {
    const [moved] = node.input;
    const isMove = node.domain === '' && (MOVES.has(node.opType) || selectsValues(node));
    if (!isMove || !moved || initializer.has(moved)) break;
    current = moved;
  }
  return current;
}

/** True for operators of which every result is one of the inputs: maximum pooling, and resizing to the nearest sample. */
export function selectsValues(node: NodeProto): boolean {
  if (node.opType === 'MaxPool') return node.output.filter(Boolean).length === 1;
  if (node.opType !== 'Resize') return false;
  const mode = new TextDecoder().decode(findAttribute(node, 'mode')?.s ?? new Uint8Array(0));
  return mode === '' || mode === 'nearest';
}
