/** The files in a zip archive, read with bounds: a small archive cannot become large, and every checksum is verified. */
import { promisify } from 'node:util';
import { crc32, inflateRaw } from 'node:zlib';
import { type Entry, fromBufferPromise, type ZipFile } from 'yauzl';
import { InputError, messageOf } from '../base/errors.ts';

const inflate = promisify(inflateRaw);

/** What an archive may hold at most. */
export interface ZipLimits {
  readonly entries: number;
  /** Bytes of all entries together, uncompressed. */
  readonly bytes: number;
}

const STORED = 0;
const DEFLATED = 8;

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
  let archive: ZipFile | undefined;
  let total = 0;
  try {
    archive = await fromBufferPromise(Buffer.from(file.buffer, file.byteOffset, file.byteLength));
    if (archive.entryCount > limits.entries)
      throw new InputError(`it has ${archive.entryCount} entries, more than the ${limits.entries} accepted here`);
    for await (const entry of archive.eachEntry()) {
      total += entry.uncompressedSize;
      if (total > limits.bytes)
        throw new InputError(`its entries have more than the ${limits.bytes} bytes accepted here`);
      if (entries.has(entry.fileName)) throw new InputError(`the entry ${entry.fileName} occurs twice`);
      entries.set(entry.fileName, await readEntry(archive, entry, file));
    }
    return entries;
  } catch (error) {
    throw new InputError(`${source} is not a readable zip archive (${messageOf(error)}); is it complete?`);
  } finally {
    archive?.close();
  }
}

async function readEntry(archive: ZipFile, entry: Entry, file: Uint8Array<ArrayBuffer>) {
  const { fileName: name, compressionMethod, compressedSize, uncompressedSize } = entry;
  if (entry.isEncrypted()) throw new InputError(`the entry ${name} is encrypted`);
  const { fileDataStart } = await archive.readLocalFileHeaderPromise(entry, { minimal: true });
  if (fileDataStart + compressedSize > file.length) throw new InputError(`the entry ${name} ends beyond the file`);
  const packed = file.subarray(fileDataStart, fileDataStart + compressedSize);
  const bytes = await unpack(packed, compressionMethod, uncompressedSize, name);
  if (bytes.length !== uncompressedSize || crc32(bytes) !== entry.crc32)
    throw new InputError(`the entry ${name} does not match its checksum`);
  return bytes;
}

async function unpack(packed: Uint8Array<ArrayBuffer>, method: number, size: number, name: string) {
  if (method === STORED) return packed;
  if (method !== DEFLATED) throw new InputError(`the entry ${name} has the unknown compression method ${method}`);
  // An entry that unpacks to more than it states is refused before the memory for it is taken.
  const bytes = await inflate(packed, { maxOutputLength: Math.max(size, 1) });
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
