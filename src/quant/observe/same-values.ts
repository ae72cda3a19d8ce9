/** Values that hold the same numbers in another arrangement have one range: they are observed once, where the numbers are computed. */
import type { GraphIndex } from '../../onnx/graph-index.ts';

/** Nodes whose first result holds numbers of their first input only. Pad and Concat add others. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity', 'Split', 'Slice']);

/** The value that `name` is an arrangement or a part of; `name` itself if it is neither. */
export function sourceOf(name: string, { producer, initializer }: GraphIndex): string {
  let current = name;
  for (let node = producer.get(current); node; node = producer.get(current)) {
    const [moved] = node.input;
    if (node.domain !== '' || !MOVES.has(node.opType) || !moved || initializer.has(moved)) break;
    current = moved;
  }
  return current;
}
