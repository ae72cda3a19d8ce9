/**
 * Reads files of `torch.save`: an uncompressed zip archive with a pickle that describes the tensors and one entry per
 * storage. Tensors are views into the file.
 */
import { InputError } from '../../base/errors.ts';
import { readBytes } from '../../base/files.ts';
import { eachZipEntry, STORED } from '../../data/zip-entries.ts';
import { byteLength, DataType, elementCount } from '../../onnx/types.ts';
import type { StoredTensor } from './checkpoint.ts';
import { PickleGlobal, PickleObject, type PickleValue, readPickle } from './pickle.ts';

const STORAGES: Readonly<Record<string, DataType>> = {
  'torch.FloatStorage': DataType.FLOAT,
  'torch.DoubleStorage': DataType.DOUBLE,
  'torch.HalfStorage': DataType.FLOAT16,
  'torch.BFloat16Storage': DataType.BFLOAT16,
  'torch.LongStorage': DataType.INT64,
  'torch.IntStorage': DataType.INT32,
  'torch.ShortStorage': DataType.INT16,
  'torch.CharStorage': DataType.INT8,
  'torch.ByteStorage': DataType.UINT8,
  'torch.BoolStorage': DataType.BOOL,
};

const REBUILD = 'torch._utils._rebuild_tensor_v2';
const PARAMETER = 'torch._utils._rebuild_parameter';
const ALLOWED = new Set([...Object.keys(STORAGES), REBUILD, PARAMETER, 'collections.OrderedDict']);

const MAX_ENTRIES = 100_000;
const LARGEST_PICKLE = 1 << 28;

/**
 * Reads the tensors of a file by name: those of its `model` or `state_dict` entry if it has one.
 *
 * @throws InputError if the file is damaged, or holds anything but tensors in the form of `torch.save`
 */
export async function readTorchFile(path: string): Promise<Map<string, StoredTensor>> {
  return parseTorchFile(await readBytes(path), path);
}

/** Parses the bytes of a file of `torch.save`; `source` names it in errors. @throws InputError as `readTorchFile` does */
export async function parseTorchFile(
  file: Uint8Array<ArrayBuffer>,
  source: string,
): Promise<Map<string, StoredTensor>> {
  const entries = await readEntries(file, source);
  const name = [...entries.keys()].find((each) => each.endsWith('/data.pkl') || each === 'data.pkl');
  if (name === undefined)
    throw new InputError(`${source} is a zip archive without data.pkl; it was not written by torch.save.`);
  const root = name.slice(0, -'data.pkl'.length);
  const order = entries.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(order) !== 'little')
    throw new InputError(`${source} is big-endian, which is not supported.`);
  const pickle = entries.get(name) ?? new Uint8Array(0);
  if (pickle.length > LARGEST_PICKLE)
    throw new InputError(`${source} describes its tensors in ${pickle.length} bytes; refused.`);
  const content = readPickle(pickle, ALLOWED, source);
  const tensors = new Map<string, StoredTensor>();
  for (const [key, value] of stateOf(content, source)) {
    const tensor = tensorOf(value, (storage) => entries.get(`${root}data/${storage}`), `${source}: ${String(key)}`);
    if (typeof key === 'string' && tensor) tensors.set(key, tensor);
  }
  return tensors;
}

/** Every entry as a view of the file. @throws InputError if it is no archive, or one that torch.save does not write */
async function readEntries(
  file: Uint8Array<ArrayBuffer>,
  source: string,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  const archive = { what: 'file of torch.save', source, maxEntries: MAX_ENTRIES };
  await eachZipEntry(file, archive, async (entry, stored) => {
    // Compressed entries are refused, so that a small archive cannot become large in memory.
    if (entry.compressionMethod !== STORED || entry.compressedSize !== entry.uncompressedSize)
      throw new InputError(`the entry ${entry.fileName} is compressed`);
    entries.set(entry.fileName, await stored());
  });
  return entries;
}

function stateOf(content: PickleValue, source: string): Map<PickleValue, PickleValue> {
  if (!(content instanceof Map)) throw new InputError(`${source} does not hold a dictionary of tensors.`);
  for (const key of ['model', 'state_dict']) {
    const inner = content.get(key);
    if (inner instanceof Map) return inner;
  }
  return content;
}

/** Returns the tensor that an entry describes; undefined for entries that are no tensors, such as a step count. */
function tensorOf(
  value: PickleValue,
  storageBytes: (key: string) => Uint8Array<ArrayBuffer> | undefined,
  where: string,
): StoredTensor | undefined {
  if (!(value instanceof PickleObject)) return undefined;
  if (value.kind === PARAMETER) return tensorOf(value.args[0] ?? null, storageBytes, where);
  const [storage, offset, shape, strides] = value.args;
  const damaged = () => new InputError(`${where} is described in a way that torch.save does not use; refused.`);
  if (value.kind !== REBUILD || !(storage instanceof PickleObject) || storage.kind !== 'storage') throw damaged();
  const [, type, key] = storage.args;
  const dataType = type instanceof PickleGlobal ? STORAGES[type.name] : undefined;
  if (dataType === undefined || typeof key !== 'string' || !isCount(offset) || !isCounts(shape) || !isCounts(strides))
    throw damaged();
  if (!isContiguous(shape, strides)) throw new InputError(`${where} is not contiguous, which is not supported.`);
  const bytes = storageBytes(key);
  const size = byteLength(dataType, 1) ?? 0;
  const length = elementCount(shape) * size;
  if (!bytes || offset * size + length > bytes.length)
    throw new InputError(`${where} [${shape.join(', ')}] needs more than its storage holds; the file is damaged.`);
  return { type: dataType, shape, bytes: bytes.subarray(offset * size, offset * size + length) };
}

const isCount = (value: PickleValue | undefined): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
const isCounts = (value: PickleValue | undefined): value is number[] => Array.isArray(value) && value.every(isCount);

function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] ?? 0;
    if (size > 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return strides.length === shape.length;
}
