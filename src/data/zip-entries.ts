/** The files in a zip archive, read with bounds: a small archive cannot become large, and every checksum is verified. */
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl';
import { InputError, isOutOfMemory, MemoryError, messageOf } from '../base/errors.ts';

const inflate = promisify(inflateRaw);

/** The largest archive that is read. */
export interface ZipLimits {
  readonly entries: number;
  /** Bytes of all entries together, uncompressed. */
  readonly bytes: number;
}

/** The compression method of entries that are not compressed. */
export const STORED = 0;
const DEFLATED = 8;

/**
 * Goes through the entries of an archive, and reads each by `read`.
 *
 * @param what the kind of file, for errors
 * @param source names the archive in errors
 * @param maxEntries the maximum number of entries
 * @throws InputError if the archive is damaged or has more entries, or for the reason of an error of `read`
 */
export async function eachZipEntry(
  file: Uint8Array<ArrayBuffer>,
  { what, source, maxEntries }: { readonly what: string; readonly source: string; readonly maxEntries: number },
  read: (entry: Entry, stored: () => Promise<Uint8Array<ArrayBuffer>>) => Promise<void> | void,
): Promise<void> {
  let archive: ZipFile | undefined;
  try {
    const opened = await fromBufferPromise(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
    archive = opened;
    if (opened.entryCount > maxEntries)
      throw new InputError(`it has ${opened.entryCount} entries, more than the ${maxEntries} accepted here`);
    for await (const entry of opened.eachEntry()) await read(entry, () => storedBytes(opened, entry, file));
  } catch (error) {
    if (isOutOfMemory(error))
      throw new MemoryError(`There is not enough memory to read ${source}; give the process more.`, { cause: error });
    throw new InputError(`${source} is not a readable ${what} (${messageOf(error)}); is it complete?`);
  } finally {
    archive?.close();
  }
}

/** The bytes of an entry as they are stored, compressed or not: a view of the file. */
async function storedBytes(archive: ZipFile, entry: Entry, file: Uint8Array<ArrayBuffer>) {
  const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
  if (fileDataStart + entry.compressedSize > file.length)
    throw new InputError(`the entry ${entry.fileName} ends beyond the file`);
  return file.subarray(fileDataStart, fileDataStart + entry.compressedSize);
}

/**
 * Reads all entries of an archive, by name. Entries that are stored without compression are views of `file`.
 *
 * @param source names the archive in errors
 * @throws InputError if it is damaged, encrypted, larger than `limits` allow, or has two entries of one name
 */
export async function readZip(
  file: Uint8Array<ArrayBuffer>,
  source: string,
  limits: ZipLimits,
): Promise<Map<string, Uint8Array<ArrayBuffer>>> {
  const entries = new Map<string, Uint8Array<ArrayBuffer>>();
  let total = 0;
  await eachZipEntry(file, { what: 'zip archive', source, maxEntries: limits.entries }, async (entry, stored) => {
    const { fileName: name, compressionMethod, uncompressedSize } = entry;
    total += uncompressedSize;
    if (total > limits.bytes)
      throw new InputError(`its entries have more than the ${limits.bytes} bytes accepted here`);
    if (entries.has(name)) throw new InputError(`the entry ${name} occurs twice`);
    if (entry.isEncrypted()) throw new InputError(`the entry ${name} is encrypted`);
    const bytes = await unpack(await stored(), compressionMethod, uncompressedSize, name);
    if (bytes.length !== uncompressedSize || crc32(bytes) !== entry.crc32)
      throw new InputError(`the entry ${name} does not match its checksum`);
    entries.set(name, bytes);
  });
  return entries;
}

async function unpack(packed: Uint8Array<ArrayBuffer>, method: number, size: number, name: string) {
  if (method === STORED) return packed;
  if (method !== DEFLATED) throw new InputError(`the entry ${name} has the unknown compression method ${method}`);
  // An entry that unpacks to more than it states is refused before the memory for it is taken.
  const bytes = await inflate(packed, { maxOutputLength: Math.max(size, 1) });
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
