/** A checkpoint from any format: named tensors whose bytes are views of the files. */
import type { DataType } from '../../onnx/types.ts';

/** A tensor as a file stores it: elements in row-major order, little-endian. */
export interface StoredTensor {
  /** The type of the elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The elements in row-major order, little-endian. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Tensors by their Hugging Face name. */
export type Checkpoint = ReadonlyMap<string, StoredTensor>;
