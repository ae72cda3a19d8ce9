/**
 * The words of the ONNX format (https://onnx.ai/onnx/repo-docs/IR.html) as dino8 uses them.
 * A model *is* its protobuf message: what dino8 does not understand stays in it, untouched.
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

/** One extent: a number, a symbol such as `batch`, or unknown. */
export type Dimension = number | string | undefined;
export type Shape = readonly Dimension[];

/** What is known of a tensor before the model runs. `shape` undefined: not even the rank. */
export interface TensorInfo {
  readonly type: DataType;
  readonly shape: Shape | undefined;
  /** The elements of a small integer tensor that carries a shape, as far as they are known. */
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

/** Bytes that `count` elements take in `raw_data`; undefined for strings and types without a fixed size. */
export function byteLength(type: DataType, count: number): number | undefined {
  const bits = BITS[type];
  return bits === undefined ? undefined : Math.ceil((count * bits) / 8);
}

/** The product of the extents: 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, extent) => product * extent, 1);
}
