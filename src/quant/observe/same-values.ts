/** Values that hold the same numbers in another arrangement have one range: they are observed once, where they are made. */
import type { GraphIndex } from '../../onnx/graph-index.ts';

const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity', 'Split', 'Slice']);

/** The value that `name` is an arrangement, or a part, of. */
export function sourceOf(name: string, { producer, initializer }: GraphIndex): string {
  let current = name;
  for (let node = producer.get(current); node; node = producer.get(current)) {
    const [moved] = node.input;
    if (node.domain !== '' || !MOVES.has(node.opType) || !moved || initializer.has(moved)) break;
    current = moved;
  }
  return current;
}
