/**
 * The types of the ONNX format (https://onnx.ai/onnx/repo-docs/IR.html) as dino8 uses them. A model *is* its protobuf
 * message: fields and operators that dino8 does not understand stay in it unchanged.
 */
import { TensorProto_DataType as DataType } from 'onnx-buf';

export type {
  AttributeProto,
  FunctionProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from 'onnx-buf';
export { DataType };

/** One dimension of a shape: a number, a symbol such as `batch`, or undefined if it is not known. */
export type Dimension = number | string | undefined;
/** The dimensions of a tensor; [] is that of a scalar. */
export type Shape = readonly Dimension[];

/** The facts about a tensor that are known before the model runs. */
export interface TensorInfo {
  /** The element type. */
  readonly type: DataType;
  /** The shape; undefined if not even the rank is known. */
  readonly shape: Shape | undefined;
  /** The elements of a small integer tensor that holds a shape; those that are not known are undefined. */
  readonly values?: readonly Dimension[] | undefined;
}

const BITS: Partial<Record<DataType, number>> = {
  [DataType.FLOAT]: 32,
  [DataType.UINT8]: 8,
  [DataType.INT8]: 8,
  [DataType.UINT16]: 16,
  [DataType.INT16]: 16,
  [DataType.INT32]: 32,
  [DataType.INT64]: 64,
  [DataType.BOOL]: 8,
  [DataType.FLOAT16]: 16,
  [DataType.DOUBLE]: 64,
  [DataType.UINT32]: 32,
  [DataType.UINT64]: 64,
  [DataType.COMPLEX64]: 64,
  [DataType.COMPLEX128]: 128,
  [DataType.BFLOAT16]: 16,
  [DataType.FLOAT8E4M3FN]: 8,
  [DataType.FLOAT8E4M3FNUZ]: 8,
  [DataType.FLOAT8E5M2]: 8,
  [DataType.FLOAT8E5M2FNUZ]: 8,
  [DataType.UINT4]: 4,
  [DataType.INT4]: 4,
  [DataType.FLOAT4E2M1]: 4,
};

/** The number of bytes that `count` elements take in `raw_data`; undefined for strings and unknown types. */
export function byteLength(type: DataType, count: number): number | undefined {
  const bits = BITS[type];
  return bits === undefined ? undefined : Math.ceil((count * bits) / 8);
}

/** The number of elements of a tensor, the product of its dimensions; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
