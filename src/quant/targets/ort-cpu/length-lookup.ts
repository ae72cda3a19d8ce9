/** Ranges by the length of the text: scale and zero point are looked up when the model runs. */
import { makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import type { LengthLookup } from '../../plan-entry.ts';
import { affineOf, UINT8 } from '../../scheme.ts';
import type { Additions } from '../../weights.ts';

/** The nodes that look scale and zero point up, and the names of both. */
export interface Bucketed {
  readonly nodes: readonly NodeProto[];
  readonly scale: string;
  readonly zeroPoint: string;
}

/**
 * Scale and zero point for the value `owner`, by the second dimension of the value `length`. A length beyond all observed
 * ones has the range of all lengths.
 */
export function bucketParameters(owner: string, { ranges, length }: LengthLookup, added: Additions): Bucketed {
  const inner = (suffix: string) => `${owner}.by_length.${suffix}`;
  const result = { scale: inner('scale'), zeroPoint: inner('zero_point') };
  if (added.tensors.some(({ name }) => name === inner('bounds'))) return { nodes: [], ...result };
  const bounded = ranges.filter(({ tokens }) => Number.isFinite(tokens));
  const affine = ranges.map(({ range }) => affineOf(range, UINT8));
  added.tensors.push(
    makeTensor(
      inner('bounds'),
      [bounded.length],
      BigInt64Array.from(bounded, ({ tokens }) => BigInt(tokens)),
    ),
    makeTensor(
      inner('scales'),
      [affine.length],
      Float32Array.from(affine, ({ scale }) => scale),
    ),
    makeTensor(
      inner('zero_points'),
      [affine.length],
      Uint8Array.from(affine, ({ zeroPoint }) => zeroPoint),
    ),
    makeTensor(inner('axes'), [1], BigInt64Array.of(0n)),
  );
  const nodes = [
    makeNode('Shape', inner('Shape'), [length], [inner('tokens')], { start: 1, end: 2 }),
    makeNode('Greater', inner('Greater'), [inner('tokens'), inner('bounds')], [inner('beyond')]),
    makeNode('Cast', inner('Cast'), [inner('beyond')], [inner('ones')], { to: DataType.INT64 }),
    makeNode('ReduceSum', inner('ReduceSum'), [inner('ones'), inner('axes')], [inner('bucket')], { keepdims: 0 }),
    makeNode('Gather', inner('Scale'), [inner('scales'), inner('bucket')], [inner('scale')]),
    makeNode('Gather', inner('ZeroPoint'), [inner('zero_points'), inner('bucket')], [inner('zero_point')]),
  ];
  return { nodes, ...result };
}
