/**
 * Reading the safetensors format (https://huggingface.co/docs/safetensors): eight bytes with the length of a JSON
 * header, the header, the data. Every length is checked against the file before it is used.
 */
import { z } from 'zod';
import { InputError, messageOf } from '../../base/errors.ts';
import { readBytes } from '../../base/files.ts';
import { parseWith } from '../../base/schema.ts';
import { byteLength, DataType, elementCount } from '../../onnx/types.ts';
import type { StoredTensor } from './checkpoint.ts';

/** The format's own limit on the header. */
const LARGEST_HEADER = 100_000_000;
const PREFIX = 8;

/** The format's names of element types. */
export const TYPES: Readonly<Record<string, DataType>> = {
  F64: DataType.DOUBLE,
  F32: DataType.FLOAT,
  F16: DataType.FLOAT16,
  BF16: DataType.BFLOAT16,
  I64: DataType.INT64,
  I32: DataType.INT32,
  I16: DataType.INT16,
  I8: DataType.INT8,
  U64: DataType.UINT64,
  U32: DataType.UINT32,
  U16: DataType.UINT16,
  U8: DataType.UINT8,
  BOOL: DataType.BOOL,
};

const size = z.number().int().nonnegative();

const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(size).max(16),
  data_offsets: z.tuple([size, size]),
});

/**
 * Reads the tensors of a safetensors file, as views of its bytes.
 *
 * @throws InputError that names the file if it is not well-formed
 * @example
 * const tensors = await readSafetensors('model.safetensors');
 */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  return parseSafetensors(await readBytes(path), path);
}

/**
 * Parses the bytes of a safetensors file into tensors, which are views of the bytes.
 *
 * @param source names the file in errors
 * @throws InputError if the file is not well-formed
 */
export function parseSafetensors(file: Uint8Array<ArrayBuffer>, source: string): Map<string, StoredTensor> {
  const { header, data } = splitFile(file, source);
  const tensors = new Map<string, StoredTensor>();
  let covered = 0;
  const entries = Object.entries(header).filter(([name]) => name !== '__metadata__');
  const parsed = entries.map(([name, value]) => ({
    name,
    ...parseWith(entrySchema, value, `${source}, tensor ${name}`),
  }));
  for (const {
    name,
    dtype,
    shape,
    data_offsets: [begin, end],
  } of parsed.toSorted((a, b) => a.data_offsets[0] - b.data_offsets[0])) {
    const type = Object.hasOwn(TYPES, dtype) ? TYPES[dtype] : undefined;
    if (type === undefined) throw new InputError(`${source}: the tensor ${name} has the unsupported type ${dtype}.`);
    const needed = byteLength(type, elementCount(shape));
    if (begin < covered || end < begin || end > data.length || end - begin !== needed)
      throw new InputError(
        `${source}: the tensor ${name} [${shape.join(', ')}] claims bytes ${begin} to ${end} of ${data.length}, which does not fit; the file is damaged.`,
      );
    covered = end;
    tensors.set(name, { type, shape, bytes: data.subarray(begin, end) });
  }
  return tensors;
}

/** Returns the metadata of a safetensors file. @throws InputError that names the file if it is not well-formed */
export function safetensorsMetadata(file: Uint8Array<ArrayBuffer>, source: string): Record<string, string> {
  const { header } = splitFile(file, source);
  return parseWith(z.record(z.string(), z.string()), header.__metadata__ ?? {}, source);
}

function splitFile(file: Uint8Array<ArrayBuffer>, source: string) {
  if (file.length < PREFIX)
    throw new InputError(`${source} is not a safetensors file: it has only ${file.length} bytes.`);
  const length = new DataView(file.buffer, file.byteOffset).getBigUint64(0, true);
  if (length > BigInt(Math.min(LARGEST_HEADER, file.length - PREFIX)))
    throw new InputError(
      `${source} claims a header of ${length} bytes in a file of ${file.length}; it is damaged or no safetensors file.`,
    );
  const start = PREFIX + Number(length);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(file.subarray(PREFIX, start)));
  } catch (error) {
    throw new InputError(
      `${source} has a header that is not JSON (${messageOf(error)}); it is damaged or no safetensors file.`,
    );
  }
  return { header: parseWith(z.record(z.string(), z.unknown()), header, source), data: file.subarray(start) };
}
