/**
 * Reads files of `torch.save`. Since version 1.6 they are uncompressed zip archives with a pickle that describes the tensors
 * and one entry per storage; before, pickles followed by the storages (see torch-legacy.ts). Tensors are views into the file
 * where their elements follow each other.
 */

import { contentKind } from '../../base/content-kind.ts';
import { InputError } from '../../base/errors.ts';
import { eachZipEntry, STORED } from '../../data/zip-entries.ts';
import { readPickle } from './pickle.ts';
import type { PickleValue } from './pickle-values.ts';
import { readLegacyTorchFile } from './torch-legacy.ts';
import { type Storages, TorchTensors } from './torch-tensor.ts';

const MAX_ENTRIES = 100_000;

/** The content of a file of `torch.save`. */
export interface TorchFile {
  /** The saved value, with placeholders for everything that is no plain data. */
  readonly value: PickleValue;
  /** Reads the tensors that placeholders describe. */
  readonly tensors: TorchTensors;
}

/**
 * Parses the bytes of a file of `torch.save`; `source` names it in errors.
 * @throws InputError if it is damaged or of another kind
 */
export async function parseTorchFile(file: Uint8Array<ArrayBuffer>, source: string): Promise<TorchFile> {
  const { value, storages } =
    contentKind(file) === 'pickle' ? readLegacyTorchFile(file, source) : await readArchive(file, source);
  return { value, tensors: new TorchTensors(storages, file.length) };
}

async function readArchive(file: Uint8Array<ArrayBuffer>, source: string) {
  const entries = await readEntries(file, source);
  const name = [...entries.keys()].find((each) => each.endsWith('/data.pkl') || each === 'data.pkl');
  if (name === undefined)
    throw new InputError(
      `${source} is a zip archive without data.pkl, so torch.save did not write it; unpack it first.`,
    );
  const root = name.slice(0, -'data.pkl'.length);
  if (entries.has(`${root}constants.pkl`))
    throw new InputError(
      `${source} is a TorchScript program (torch.jit.save), not a checkpoint; save model.state_dict() with torch.save.`,
    );
  const order = entries.get(`${root}byteorder`);
  if (order && new TextDecoder().decode(order) !== 'little')
    throw new InputError(`${source} is big-endian, which is not supported; save it again on a little-endian machine.`);
  const { value } = readPickle(entries.get(name) ?? new Uint8Array(0), source);
  const storages: Storages = {
    bytesOf: ([kind, , key]) =>
      kind === 'storage' && typeof key === 'string' ? entries.get(`${root}data/${key}`) : undefined,
  };
  return { value, storages };
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
    if (entries.has(entry.fileName)) throw new InputError(`the entry ${entry.fileName} occurs twice`);
    entries.set(entry.fileName, await stored());
  });
  return entries;
}
