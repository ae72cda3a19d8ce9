/** A checkpoint, wherever it came from: named tensors whose bytes are views into the files. */
import type { DataType } from '../../onnx/types.ts';

export interface StoredTensor {
  readonly type: DataType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Tensors by their Hugging Face name. */
export type Checkpoint = ReadonlyMap<string, StoredTensor>;
