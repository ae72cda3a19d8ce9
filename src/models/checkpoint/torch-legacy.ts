/**
 * The format of `torch.save` before version 1.6, which `_use_new_zipfile_serialization=False` still writes: the pickles of a
 * magic number, of the format's version, of facts about the machine, of the value, and of the keys of its storages; then each
 * storage, as the number of its elements in eight bytes and the elements.
 */
import { InputError } from '../../base/errors.ts';
import { readPickle } from './pickle.ts';
import type { PickleObject, PickleValue } from './pickle-values.ts';
import { type Storages, storageElementSize } from './torch-tensor.ts';

const MAGIC = 0x1950a86a20f9469cfc6cn;
const VERSION = 1001;

/** Reads a file in the format before the zip archives. @throws InputError if it is damaged or another pickle */
export function readLegacyTorchFile(
  file: Uint8Array<ArrayBuffer>,
  source: string,
): { readonly value: PickleValue; readonly storages: Storages } {
  let position = 0;
  const next = () => {
    const read = readPickle(file, source, position);
    position = read.end;
    return read;
  };
  if (next().value !== MAGIC)
    throw new InputError(
      `${source} is a Python pickle that torch.save did not write; load it in Python and save the state_dict with torch.save.`,
    );
  if (next().value !== VERSION)
    throw new InputError(`${source} is of a version of torch.save's old format that dino8 does not know.`);
  const system = next().value;
  if (system instanceof Map && system.get('little_endian') === false)
    throw new InputError(`${source} is big-endian, which is not supported; save it again on a little-endian machine.`);
  const { value, persistent } = next();
  const keys = next().value;
  const stored = readStorages(file, source, position, Array.isArray(keys) ? keys : [], elementSizes(persistent));
  return {
    value,
    storages: {
      bytesOf: ([kind, type, key, , , view]) => (kind === 'storage' ? viewOf(stored.get(key), type, view) : undefined),
    },
  };
}

/** The bytes of an element by the key of the storage. */
function elementSizes(persistent: readonly PickleObject[]): Map<PickleValue | undefined, number | undefined> {
  const sizes = new Map<PickleValue | undefined, number | undefined>();
  for (const { args } of persistent) if (args[0] === 'storage') sizes.set(args[2], storageElementSize(args[1]));
  return sizes;
}

function readStorages(
  file: Uint8Array<ArrayBuffer>,
  source: string,
  start: number,
  keys: readonly PickleValue[],
  sizes: ReadonlyMap<PickleValue | undefined, number | undefined>,
): Map<PickleValue | undefined, Uint8Array<ArrayBuffer>> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  const storages = new Map<PickleValue | undefined, Uint8Array<ArrayBuffer>>();
  let position = start;
  for (const key of keys) {
    const size = sizes.get(key);
    if (size === undefined)
      throw new InputError(`${source} has a storage of elements that dino8 does not know; the file is damaged.`);
    const count = position + 8 <= file.length ? Number(view.getBigUint64(position, true)) : Number.NaN;
    const end = position + 8 + count * size;
    if (!(end <= file.length)) throw new InputError(`${source} ends in the middle of a tensor; is it complete?`);
    storages.set(key, file.subarray(position + 8, end));
    position = end;
  }
  return storages;
}

/** The part of a storage that a persistent id states by its last element: a key, a start and a number of elements. */
function viewOf(
  storage: Uint8Array<ArrayBuffer> | undefined,
  type: PickleValue | undefined,
  view: PickleValue | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (!storage || !Array.isArray(view)) return storage;
  const [, start, count] = view;
  const size = storageElementSize(type);
  if (typeof start !== 'number' || typeof count !== 'number' || !(start >= 0) || !(count >= 0) || size === undefined)
    return undefined;
  const end = (start + count) * size;
  return end <= storage.length ? storage.subarray(start * size, end) : undefined;
}
