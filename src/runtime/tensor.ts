/** Tensors outside of a graph: what goes into a session and what comes out. */
import { bytesOf, type TypedArray, typeOfArray, viewAs } from '../onnx/tensor.ts';
import { byteLength, DataType, elementCount } from '../onnx/types.ts';
import { RuntimeError } from './error.ts';

/** A tensor outside of a graph. */
export interface Tensor {
  /** The type of the elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** Elements in row-major order; booleans as bytes, float16 as its bits. */
  readonly data: TypedArray;
}

/** A tensor over `data`, which is shared. @throws RuntimeError if the shape and the number of elements disagree. */
export function tensor(data: TypedArray, shape: readonly number[], type: DataType = typeOfArray(data)): Tensor {
  const needed = byteLength(type, elementCount(shape));
  if (needed !== data.byteLength)
    throw new RuntimeError(
      `A tensor of shape [${shape.join(', ')}] needs ${needed} bytes and was given ${data.byteLength}.`,
    );
  return { type, shape, data };
}

/**
 * A float32 tensor over `data`, which is shared.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const pixels = floats(new Float32Array(3 * 32 * 32), [1, 3, 32, 32]);
 */
export const floats = (data: Float32Array, shape: readonly number[]): Tensor => tensor(data, shape);

/**
 * An int64 tensor; an array of BigInts is shared.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const tokens = integers([101, 2417, 4418, 102], [1, 4]);
 */
export function integers(data: BigInt64Array | readonly number[], shape: readonly number[]): Tensor {
  return tensor(data instanceof BigInt64Array ? data : BigInt64Array.from(data, BigInt), shape);
}

/**
 * A boolean tensor over bytes, 0 or 1, which are shared.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const mask = booleans(Uint8Array.of(1, 1, 0), [1, 3]);
 */
export const booleans = (data: Uint8Array, shape: readonly number[]): Tensor => tensor(data, shape, DataType.BOOL);

/** The elements of a float tensor. @throws RuntimeError if it has another type. */
export function floatData(value: Tensor): Float32Array {
  if (value.data instanceof Float32Array) return value.data;
  throw new RuntimeError(`A float tensor is needed and ${DataType[value.type]} was given.`);
}

/** A tensor that owns its memory, and so outlives the outputs it came from. */
export function copyTensor({ type, shape, data }: Tensor): Tensor {
  return { type, shape: [...shape], data: data.slice() };
}

export function describeTensor(value: Tensor): string {
  return `${DataType[value.type]}[${value.shape.join(', ')}]`;
}

/** The bytes of a tensor, as a view. */
export const tensorData = (value: Tensor): Uint8Array<ArrayBuffer> => bytesOf(value.data);

/** Bytes of a type and shape, as a checkpoint stores them. */
export interface TensorBytes {
  /** The type of the elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The elements in row-major order, little-endian. */
  readonly bytes: Uint8Array;
}

/** A tensor over stored bytes, which are shared if they are aligned. */
export function tensorOf({ type, shape, bytes }: TensorBytes): Tensor {
  return tensor(viewAs(type, bytes), shape, type);
}
