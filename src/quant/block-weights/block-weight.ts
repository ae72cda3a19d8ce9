/**
 * A weight [rows, channels] in the form of `com.microsoft::MatMulNBits`: unsigned integers of 8 or 4 bits around the middle of their range,
 * with a scale for each block of rows of a channel
 * (https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md#com.microsoft.MatMulNBits).
 * The functions here add nodes that compute the integers; constant folding then runs these nodes once.
 */
import { dimensionsOf } from '../../onnx/tensor.ts';
import { DataType, type TensorProto } from '../../onnx/types.ts';
import { SMALLEST_SCALE } from '../scheme.ts';
import { type Additions, type Emit, emitter, minimumOf } from '../weights.ts';

/** The rows of a channel that share a scale. WebGPU's kernel for many rows of activations takes no other number. */
export const BLOCK = 32;

/** The number of bits of an integer. */
export type BlockBits = 8 | 4;

/** The names of the initializers that a weight consists of, and its size. */
export interface BlockWeight {
  /** uint8 [channels, blocks, BLOCK · bits / 8] */
  readonly values: string;
  /** float [channels · blocks] */
  readonly scales: string;
  /** The number of rows of the weight. */
  readonly rows: number;
  /** The number of columns of the weight. */
  readonly channels: number;
}

/**
 * Adds the nodes that compute a weight in blocks. Rows beyond the last whole block are filled up with zeros, which runtimes do not read.
 * @param weight float [rows, channels]
 */
export function addBlockWeight(weight: TensorProto, bits: BlockBits, added: Additions): BlockWeight {
  const [rows, channels] = dimensionsOf(weight) as [number, number]; // of a matrix
  const count = Math.ceil(rows / BLOCK);
  const prefix = `${weight.name}.blocks_${bits}`;
  const names = { values: `${prefix}.values`, scales: `${prefix}.scales` };
  const emit = emitter(prefix, added);
  const byChannel = emit('Transpose', [weight.name], { perm: [1, 0] });
  const missing = count * BLOCK - rows;
  const filled = missing === 0 ? byChannel : emit('Pad', [byChannel, [0, 0, 0, missing]]);
  const blocks = emit('Reshape', [filled, [channels, count, BLOCK]]);
  const scales = scalesOf(blocks, bits, emit);
  emit('Reshape', [scales, [channels * count]], {}, names.scales);
  const integers = emit('Add', [roundTo(blocks, scales, bits, emit), MIDDLE[bits]]);
  const bytes = bits === 8 ? integers : joinPairs(integers, [channels, count, BLOCK / 2, 2], emit);
  emit('Cast', [bytes], { to: DataType.UINT8 }, names.values);
  return { ...names, rows, channels };
}

/** The integer that stands for 0, which the operator takes where no zero points are given. */
const MIDDLE: Readonly<Record<BlockBits, number>> = { 8: 128, 4: 8 };

/** Whole numbers from −MIDDLE to MIDDLE − 1. */
function roundTo(blocks: string, scales: string, bits: BlockBits, emit: Emit): string {
  return emit('Clip', [emit('Round', [emit('Div', [blocks, scales])]), -MIDDLE[bits], MIDDLE[bits] - 1]);
}

/**
 * Parts of the number with the largest magnitude that are tried as the end of the range. The end becomes −MIDDLE, the only integer without
 * an opposite, so that a scale may be negative. Of 16 integers, a shorter range that cuts the end off is often nearer, and so is one whose
 * end is 7.
 */
const ENDS: Readonly<Record<BlockBits, readonly number[]>> = { 8: [1], 4: [1, 0.9, 0.8, 0.7, -8 / 7] };

/** The scales [channels, blocks, 1], those that leave the smallest squared error. */
function scalesOf(blocks: string, bits: BlockBits, emit: Emit): string {
  const highest = emit('ReduceMax', [blocks, [2]], { keepdims: 1 });
  const lowest = emit('ReduceMin', [blocks, [2]], { keepdims: 1 });
  const isBelow = emit('Greater', [emit('Neg', [lowest]), highest]);
  const extreme = emit('Where', [isBelow, lowest, highest]);
  // A block of zeros has any scale.
  const isZero = emit('Less', [emit('Abs', [extreme]), SMALLEST_SCALE]);
  const whole = emit('Where', [isZero, 1, emit('Div', [extreme, -MIDDLE[bits]])]);
  const candidates = ENDS[bits].map((end) => (end === 1 ? whole : emit('Mul', [whole, end])));
  if (candidates.length === 1) return whole;
  const errorOf = (scales: string) => {
    const back = emit('Mul', [roundTo(blocks, scales, bits, emit), scales]);
    return emit('ReduceSumSquare', [emit('Sub', [blocks, back]), [2]], { keepdims: 1 });
  };
  return minimumOf(candidates, errorOf, emit);
}

/** Pairs of integers of 4 bits as bytes, the first one in the lower half. */
function joinPairs(integers: string, shape: readonly number[], emit: Emit): string {
  const [lower, upper] = [0, 1].map((index) =>
    emit('Gather', [emit('Reshape', [integers, shape]), [index]], { axis: 3 }),
  ) as [string, string]; // as many as indices
  return emit('Squeeze', [emit('Add', [lower, emit('Mul', [upper, 16])]), [3]]);
}
