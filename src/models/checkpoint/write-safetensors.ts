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
  const names = new Map(Object.entries(TYPES).map(([name, type]) => [type, name]));
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { type, shape, bytes }] of tensors) {
    const dtype = names.get(type);
    if (dtype === undefined) throw new Error(`safetensors has no type for ${DataType[type]}`);
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const padded = new Uint8Array(Math.ceil(text.length / ALIGNMENT) * ALIGNMENT).fill(0x20);
  padded.set(text);
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(padded.length), true);
  return [prefix, padded, ...[...tensors.values()].map(({ bytes }) => bytes)];
}
