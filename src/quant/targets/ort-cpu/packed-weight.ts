/**
 * The layout in which dino8's kernels read int8 weights, so that nothing is packed or copied when a session starts: a weight
 * [depth, columns] is stored as [columns / 16, depth / 4, 16, 4], with zeros in the columns that fill up the last panel of 16
 * (kernels/packed_weight.h says why).
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';
import { makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import type { NodeProto, TensorProto } from '../../../onnx/types.ts';

const PANEL = 16;
const STEP = 4;

/** True if the kernels can read a weight of this depth, the number of its rows. */
export const isPackable = (depth: number): boolean => depth > 0 && depth % STEP === 0 && depth < 1 << 16;

/** Constants and nodes that make the packed weight `packed` of the weight `weight`; they are to be folded. */
export function packWeight(
  weight: string,
  [depth, columns]: readonly [number, number],
  packed: string,
): { nodes: NodeProto[]; tensors: TensorProto[] } {
  const panels = Math.ceil(columns / PANEL);
  const inner = (part: string) => `${packed}.${part}`;
  const integers = (name: string, ...values: number[]) =>
    makeTensor(inner(name), [values.length], BigInt64Array.from(values, BigInt));
  return {
    tensors: [
      integers('amounts', 0, 0, 0, panels * PANEL - columns),
      integers('shape', depth / STEP, STEP, panels, PANEL),
      makeTensor(inner('zero'), [], Int8Array.of(0)),
    ],
    nodes: [
      makeNode('Pad', inner('Pad'), [weight, inner('amounts'), inner('zero')], [inner('filled')]),
      makeNode('Reshape', inner('Reshape'), [inner('filled'), inner('shape')], [inner('split')]),
      makeNode('Transpose', inner('Transpose'), [inner('split')], [packed], { perm: [2, 0, 3, 1] }),
    ],
  };
}

/** Adds nodes that make the weight [depth, columns] of a packed one, where `bias` is [columns]. */
export function unpackWeight(b: GraphBuilder, packed: Value, bias: Value): Value {
  const ordered = b.transpose(packed, [1, 3, 0, 2]); // [depth / 4, 4, panels, 16]
  const [filled] = b.call('', 'Flatten', [ordered], { axis: 2 });
  const [weight] = b.call('', 'Slice', [filled as Value, b.integers(0), b.shapeOf(bias), b.integers(1)]);
  return weight as Value; // operators with one result
}
