/** Tensors outside of a graph: the inputs and outputs of a session. */
import type { z } from 'zod';
import { checkValue, objectWith } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { bytesOf, type TypedArray, typeOfArray, viewAs } from '../onnx/tensor.ts';
import { byteLength, DataType, elementCount } from '../onnx/types.ts';
import { RuntimeError } from './error.ts';

/** A type, a shape and elements. */
export interface Tensor {
  /** The type of the elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The elements in row-major order; booleans are bytes, and float16 numbers are their 16 bits. */
  readonly data: TypedArray;
}

/** What a tensor must be that a caller gives. */
export const tensorSchema: z.ZodType = objectWith('a tensor, with its data, shape and type', 'data', 'shape', 'type');

function checkTensorArgument(value: Tensor): void {
  checkValue('The tensor', tensorSchema, value);
}

/**
 * Returns a tensor over `data`, which is shared.
 *
 * @param data the elements in row-major order
 * @param type the element type; by default that of the array
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const x = tensor(new Uint8Array(12), [1, 3, 4]);
 */
export function tensor(data: TypedArray, shape: readonly number[], type?: DataType): Tensor {
  if (!ArrayBuffer.isView(data) || data instanceof DataView)
    throw new UsageError('The elements of a tensor must be a typed array, such as a Float32Array.');
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    throw new UsageError('The shape of a tensor must be a list of whole numbers from 0 up.');
  return checkedTensor(data, shape, type ?? typeOfArray(data));
}

function checkedTensor(data: TypedArray, shape: readonly number[], type: DataType): Tensor {
  const needed = byteLength(type, elementCount(shape));
  if (needed !== data.byteLength)
    throw new RuntimeError(
      `A tensor of shape [${shape.join(', ')}] needs ${needed} bytes and was given ${data.byteLength}.`,
    );
  return { type, shape, data };
}

/**
 * Returns a tensor of floats over `data`, which is shared.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const x = floats(new Float32Array(12), [1, 3, 4]);
 */
export const floats = (data: Float32Array, shape: readonly number[]): Tensor => tensor(data, shape);

/**
 * Returns a tensor of 64-bit integers. A BigInt64Array is shared; other numbers are copied.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const ids = integers([101, 2000, 102], [1, 3]);
 */
export function integers(data: BigInt64Array | readonly number[], shape: readonly number[]): Tensor {
  if (data instanceof BigInt64Array) return tensor(data, shape);
  if (!Array.isArray(data) || !data.every(Number.isSafeInteger))
    throw new UsageError('The elements of a tensor of integers must be a BigInt64Array or a list of whole numbers.');
  return tensor(BigInt64Array.from(data, BigInt), shape);
}

/**
 * Returns a tensor of booleans over bytes of 0 and 1, which are shared.
 *
 * @throws RuntimeError if the shape and the number of elements disagree
 * @example
 * const mask = booleans(Uint8Array.of(1, 1, 0), [1, 3]);
 */
export const booleans = (data: Uint8Array, shape: readonly number[]): Tensor => tensor(data, shape, DataType.BOOL);

/**
 * Returns the elements of a float tensor, without a copy.
 *
 * @throws RuntimeError if the tensor has another type
 * @example
 * const scores = floatData(outputs.get('scores'));
 */
export function floatData(value: Tensor): Float32Array {
  checkTensorArgument(value);
  if (value.data instanceof Float32Array) return value.data;
  throw new RuntimeError(`A float tensor is needed and ${DataType[value.type]} was given.`);
}

/**
 * Returns a copy of a tensor, which outlives the outputs that the tensor came from.
 *
 * @example
 * const kept = copyTensor(outputs.get('y'));
 */
export function copyTensor(value: Tensor): Tensor {
  checkTensorArgument(value);
  const { type, shape, data } = value;
  return { type, shape: [...shape], data: data.slice() };
}

/** Returns the type and shape of a tensor for messages, such as `FLOAT[1, 3]`. */
export function describeTensor(value: Tensor): string {
  return `${DataType[value.type]}[${value.shape.join(', ')}]`;
}

/** Returns the bytes of a tensor as a view. */
export const tensorData = (value: Tensor): Uint8Array<ArrayBuffer> => bytesOf(value.data);

/** A tensor as a checkpoint stores it: a type, a shape and bytes. */
export interface TensorBytes {
  /** The type of the elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The elements in row-major order, little-endian. */
  readonly bytes: Uint8Array;
}

/**
 * Returns a tensor over stored bytes, which are shared if they are aligned to their elements.
 *
 * @throws RuntimeError if the shape and the number of bytes disagree
 * @example
 * const weight = tensorOf({ type: DataType.FLOAT, shape: [1], bytes: new Uint8Array(4) });
 */
export function tensorOf(stored: TensorBytes): Tensor {
  checkValue(
    'The stored tensor',
    objectWith('an object with a type, a shape and bytes', 'type', 'shape', 'bytes'),
    stored,
  );
  const { type, shape, bytes } = stored;
  return tensor(viewAs(type, bytes), shape, type);
}
