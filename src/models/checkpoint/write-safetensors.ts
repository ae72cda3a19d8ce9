/** Writes the safetensors format: the header, then the bytes of the tensors without copying them. */
import { writeAtomic } from '../../base/files.ts';
import { DataType } from '../../onnx/types.ts';
import type { StoredTensor } from './checkpoint.ts';
import { TYPES } from './safetensors.ts';

/** The header is padded to a multiple of this, so that the data is aligned for every type. */
const ALIGNMENT = 8;

/**
 * Writes tensors as one safetensors file.
 *
 * @param metadata texts that the header holds under the key `__metadata__`
 * @throws InputError if the file cannot be written
 */
export async function writeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  path: string,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeAtomic(path, encodeSafetensors(tensors, metadata));
}

/** The pieces of a safetensors file. The bytes of the tensors are not copied. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const sizes = [...tensors].map(([name, { type, shape, bytes }]) => ({ name, type, shape, size: bytes.length }));
  return [...encodeHeader(sizes, metadata), ...[...tensors.values()].map(({ bytes }) => bytes)];
}

/** A tensor of which only the place in the file is needed. */
export interface SizedTensor {
  /** The name of the tensor. */
  readonly name: string;
  /** The type of its elements. */
  readonly type: DataType;
  /** The number of entries along each dimension. */
  readonly shape: readonly number[];
  /** The number of its bytes. */
  readonly size: number;
}

/** The pieces before the bytes of the tensors, which follow in the same order. */
export function encodeHeader(
  tensors: readonly SizedTensor[],
  metadata: Readonly<Record<string, string>>,
): Uint8Array[] {
  const names = new Map(Object.entries(TYPES).map(([name, type]) => [type, name]));
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const { name, type, shape, size } of tensors) {
    const dtype = names.get(type);
    if (dtype === undefined) throw new Error(`safetensors has no type for ${DataType[type]}`);
    header[name] = { dtype, shape, data_offsets: [offset, offset + size] };
    offset += size;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / ALIGNMENT) * ALIGNMENT).fill(0x20);
  padded.set(text);
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(padded.length), true);
  return [prefix, padded];
}
