/** Tensors inside an ONNX model: their bytes as views, and their elements as typed arrays. */

import { create } from '@bufbuild/protobuf';
import { TensorProto_DataLocation, TensorProtoSchema } from 'onnx-buf';
import { checkFields } from '../base/check-options.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { byteLength, DataType, elementCount, type TensorProto } from './types.ts';

/** The arrays that hold elements of tensors. */
export type TypedArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array;

interface TypedArrayConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): TypedArray;
}

/** The array type for each element type. 16-bit floats are held as their bits, and 4-bit integers as packed pairs. */
const ARRAYS: Partial<Record<DataType, TypedArrayConstructor>> = {
  [DataType.FLOAT]: Float32Array,
  [DataType.DOUBLE]: Float64Array,
  [DataType.INT8]: Int8Array,
  [DataType.UINT8]: Uint8Array,
  [DataType.BOOL]: Uint8Array,
  [DataType.INT16]: Int16Array,
  [DataType.UINT16]: Uint16Array,
  [DataType.FLOAT16]: Uint16Array,
  [DataType.BFLOAT16]: Uint16Array,
  [DataType.INT32]: Int32Array,
  [DataType.UINT32]: Uint32Array,
  [DataType.INT64]: BigInt64Array,
  [DataType.UINT64]: BigUint64Array,
  [DataType.INT4]: Uint8Array,
  [DataType.UINT4]: Uint8Array,
};

/** The element type that a typed array stands for by default. */
export function typeOfArray(array: TypedArray): DataType {
  if (array instanceof Float32Array) return DataType.FLOAT;
  if (array instanceof Float64Array) return DataType.DOUBLE;
  if (array instanceof Int8Array) return DataType.INT8;
  if (array instanceof Uint8Array) return DataType.UINT8;
  if (array instanceof Int16Array) return DataType.INT16;
  if (array instanceof Uint16Array) return DataType.UINT16;
  if (array instanceof Int32Array) return DataType.INT32;
  if (array instanceof Uint32Array) return DataType.UINT32;
  return array instanceof BigInt64Array ? DataType.INT64 : DataType.UINT64;
}

/**
 * Bytes as elements of a type: a view, or a copy if the bytes are not aligned to the element size.
 * @throws InputError if there is no array for the type
 */
export function viewAs(type: DataType, bytes: Uint8Array): TypedArray {
  const ArrayType = ARRAYS[type];
  if (!ArrayType) throw new InputError(`Tensors of type ${DataType[type] ?? type} are not supported.`);
  const size = ArrayType.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new ArrayType(aligned.buffer, aligned.byteOffset, Math.floor(aligned.byteLength / size));
}

/** The bytes of a typed array, as a view. */
export function bytesOf(array: TypedArray): Uint8Array<ArrayBuffer> {
  // A TypedArray over a SharedArrayBuffer never enters dino8: every array is made by it, or is a Node.js Buffer.
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

/**
 * Returns the dimensions of a tensor as numbers.
 * @throws InputError if one is negative or above 2^53
 * @example
 * const [rows, columns] = dimensionsOf(makeTensor('weight', [2, 3], new Float32Array(6))); // 2, 3
 */
export function dimensionsOf(tensor: TensorProto): number[] {
  checkFields('The tensor must be an initializer of a model', tensor, 'dims');
  return tensor.dims.map((dimension) => {
    const number = Number(dimension);
    if (number < 0 || !Number.isSafeInteger(number))
      throw new InputError(`The initializer ${tensor.name} has the impossible dimension ${dimension}.`);
    return number;
  });
}

/** True if the bytes of a tensor are in another file that has not been read. */
export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === TensorProto_DataLocation.EXTERNAL;
}

/**
 * The elements of a tensor as little-endian bytes. `raw_data` is returned as a view; the typed fields (`float_data`,
 * `int32_data`, …) are converted as the comments of onnx.proto's TensorProto say.
 * @throws InputError if the data is in an external file that was not read
 */
export function tensorBytes(tensor: TensorProto): Uint8Array {
  if (isExternal(tensor))
    throw new InputError(`The initializer ${tensor.name} is in an external file that was not read.`);
  if (tensor.rawData.length > 0) return tensor.rawData;
  const type = tensor.dataType as DataType; // an enum on the wire; unknown numbers fall through to the last line
  if (tensor.floatData.length > 0) return bytesOf(Float32Array.from(tensor.floatData));
  if (tensor.doubleData.length > 0) return bytesOf(Float64Array.from(tensor.doubleData));
  if (tensor.int64Data.length > 0) return bytesOf(BigInt64Array.from(tensor.int64Data));
  if (tensor.uint64Data.length > 0)
    return type === DataType.UINT32
      ? bytesOf(Uint32Array.from(tensor.uint64Data, Number))
      : bytesOf(BigUint64Array.from(tensor.uint64Data));
  if (tensor.int32Data.length > 0) return narrow(tensor.int32Data, type);
  return new Uint8Array(0);
}

/** `int32_data` holds the types of at most 32 bits, one element in each entry (two elements of the 4-bit types). */
function narrow(data: readonly number[], type: DataType): Uint8Array {
  switch (byteLength(type, 2)) {
    case 8:
      return bytesOf(Int32Array.from(data));
    case 4:
      return bytesOf(Uint16Array.from(data));
    default:
      return Uint8Array.from(data);
  }
}

/**
 * Returns the elements of a tensor in row-major order.
 * @throws InputError if their number does not match the shape, or if the data was not read
 * @example
 * const elements = model.graph.initializer.map((tensor) => tensorElements(tensor).length);
 */
export function tensorElements(tensor: TensorProto): TypedArray {
  checkFields('The tensor must be an initializer of a model', tensor, 'dims', 'dataType');
  checkTensorSize(tensor);
  return viewAs(tensor.dataType as DataType, tensorBytes(tensor)); // checked by viewAs
}

/** Checks that a tensor has as many bytes as its shape needs. @throws InputError if it has not */
export function checkTensorSize(tensor: TensorProto): void {
  const type = tensor.dataType as DataType; // byteLength returns undefined for numbers that are no DataType
  if (isExternal(tensor) || type === DataType.STRING) return;
  const needed = byteLength(type, elementCount(dimensionsOf(tensor)));
  if (needed === undefined)
    throw new InputError(`The initializer ${tensor.name} has the unknown element type ${tensor.dataType}.`);
  const present = tensorBytes(tensor).length;
  if (present !== needed)
    throw new InputError(
      `The initializer ${tensor.name} holds ${present} bytes where its shape [${tensor.dims.join(', ')}] needs ${needed}; the file is damaged.`,
    );
}

/**
 * Makes a tensor that shares the memory of `data`.
 * @param type the element type; by default that of the array
 * @example
 * const weight = makeTensor('fc1.weight', [256, 1024], new Float32Array(256 * 1024));
 */
export function makeTensor(name: string, shape: readonly number[], data: TypedArray, type?: DataType): TensorProto {
  if (typeof name !== 'string' || !Array.isArray(shape) || !shape.every(Number.isSafeInteger))
    throw new UsageError('A tensor must have a text as its name and whole numbers as its shape.');
  if (!ArrayBuffer.isView(data) || data instanceof DataView)
    throw new UsageError(`The elements of the tensor ${name} must be a typed array, such as a Float32Array.`);
  return create(TensorProtoSchema, {
    name,
    dataType: type ?? typeOfArray(data),
    dims: shape.map((dimension) => BigInt(dimension)),
    rawData: bytesOf(data),
  });
}
