/**
 * File access that fails with typed errors. A file is read whole or refused, within a limit of size; a file that is written
 * exists completely or not at all.
 */
import { constants, createReadStream, createWriteStream, type Dirent } from 'node:fs';
import { copyFile, type FileHandle, mkdir, open, readdir, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { checkPath } from './check-options.ts';
import { contentKind, foreignKind, KIND_BYTES } from './content-kind.ts';
import { Dino8Error, InputError, isOutOfMemory, MemoryError, messageOf, systemCode, UsageError } from './errors.ts';
import { tryLock } from './file-lock.ts';
import { removeLeftovers, temporaryBeside } from './temporary.ts';
import { findPlace, type Place, writeToStandardStream } from './write-place.ts';

/** `writev` takes at most this many pieces (IOV_MAX of Linux). */
const MAX_PIECES = 1024;
/** A read or write takes at most this many bytes (2 GiB less a page). */
const MAX_BYTES_PER_CALL = 0x7ffff000;

/** True if a path is the address of something on the network. */
export const isUrl = (path: string): boolean => /^[a-z][a-z0-9+.-]*:\/\//i.test(path);

/** The error for a path at which there is nothing, which says what to do if it is an address on the network. */
export function missingFile(path: string): UsageError {
  return new UsageError(
    isUrl(path)
      ? `${path} is a URL, and dino8 does not use the network; download the file and name it.`
      : `${path} does not exist; check the path.`,
  );
}

/** The typed error for a system error that occurred while reading or writing `path`. */
export function fileError(verb: 'read' | 'write', path: string, error: unknown): Error {
  switch (systemCode(error)) {
    case 'ENOENT':
      return verb === 'read'
        ? missingFile(path)
        : new UsageError(`${path} cannot be written because its folder does not exist; create it first.`);
    case 'EISDIR':
      return new UsageError(`${path} is a directory where a file is needed; name a file in it.`);
    case 'ENOTDIR':
      return new UsageError(`${path} runs through a file as if it were a directory; check the path.`);
    case 'ENXIO': // A socket, or a device that is not there.
      return verb === 'read'
        ? irregularFile(path)
        : new InputError(`${path} is a socket or a device that takes nothing; name a file.`);
    case 'EPIPE':
      return new InputError(`${path} was not written to its end, because the reader of this pipe has gone.`);
    case 'EACCES':
    case 'EPERM':
      return new InputError(`${path} cannot be ${verb === 'read' ? 'read' : 'written'}: permission denied.`);
    case 'ENAMETOOLONG':
      return new UsageError(`${path} is a longer name than the file system takes; check the path.`);
    case 'ELOOP':
      return new InputError(`${path} runs through symbolic links that lead in a circle; check the path.`);
    case 'ERR_INVALID_ARG_VALUE':
      return new UsageError(`${path} is no path: it has a null character.`);
    case 'EROFS':
      return new InputError(`${path} cannot be written: its file system is read-only; write elsewhere.`);
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return new InputError(`${path} was not written because the disk is full; free some space and try again.`);
    default:
      if (isOutOfMemory(error))
        return new MemoryError(`There is not enough memory to ${verb} ${path}; give the process more.`, {
          cause: error,
        });
      return new InputError(`${path} cannot be ${verb === 'read' ? 'read' : 'written'}: ${messageOf(error)}.`);
  }
}

/** The error for a path at which there is something else than a file, such as a device or a named pipe. */
export const irregularFile = (path: string): InputError =>
  new InputError(`${path} is not a regular file; dino8 reads regular files only.`);

/**
 * Reads a file into one buffer of its size.
 * @throws UsageError if it does not exist or is a directory; InputError if it has more than `maxBytes` or cannot be read
 */
export async function readBytes(path: string, maxBytes = Number.MAX_SAFE_INTEGER): Promise<Uint8Array<ArrayBuffer>> {
  return withRegularFile(path, (file, size) => {
    if (size > maxBytes) throw tooLarge(path, size, maxBytes);
    return readRange(file, 0, size);
  });
}

/**
 * Reads the first bytes of a file, `length` of them if it has so many.
 * @throws UsageError if it does not exist or is a directory; InputError if it cannot be read
 */
export async function readStart(path: string, length: number): Promise<Uint8Array<ArrayBuffer>> {
  return withRegularFile(path, (file, size) => readRange(file, 0, Math.min(length, size)));
}

/**
 * True if a file that `path` refers to, such as the external data of a model or a shard of weights, is in the folder of
 * `path` when all symbolic links are followed. A cache may hold links to files that lie beside each other in another folder
 * (as Hugging Face's does), so the folder where `path` itself leads counts too. A file that does not exist is inside.
 */
export async function isInsideFolderOf(path: string, file: string): Promise<boolean> {
  const real = await realpath(file).catch(() => undefined);
  if (real === undefined) return true;
  const folders = [await realpath(dirname(path)), dirname(await realpath(path))];
  return folders.some((folder) => real.startsWith(folder.endsWith(sep) ? folder : folder + sep));
}

/** Opens a named pipe at once, where without it the process would wait for somebody to write into the pipe. */
export const READ_WITHOUT_WAITING: number = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/** Opens a file for reading, hands it to `read` with its size in bytes, and closes it. Errors are those of `readBytes`. */
export async function withRegularFile<T>(
  path: string,
  read: (file: FileHandle, size: number) => Promise<T>,
): Promise<T> {
  checkPath(path);
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ_WITHOUT_WAITING);
    return await read(file, await regularSize(file, path));
  } catch (error) {
    throw error instanceof Dino8Error ? error : fileError('read', path, error);
  } finally {
    await file?.close();
  }
}

async function regularSize(file: FileHandle, path: string): Promise<number> {
  const info = await file.stat();
  if (info.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  if (!info.isFile()) throw irregularFile(path);
  return info.size;
}

/** A piece of a file. */
export interface FileChunk {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** The number of bytes of the whole file. */
  readonly total: number;
}

/**
 * Reads a file from its beginning to its end, `length` bytes at a time. It is closed when the caller stops.
 * @throws as `readBytes`
 */
export async function* readChunks(path: string, length: number, maxBytes: number): AsyncGenerator<FileChunk> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, READ_WITHOUT_WAITING);
    const total = await regularSize(file, path);
    if (total > maxBytes) throw tooLarge(path, total, maxBytes);
    for (let offset = 0; offset < total; offset += length) {
      const bytes = await readRange(file, offset, Math.min(length, total - offset));
      if (bytes.length > 0) yield { bytes, total };
    }
  } catch (error) {
    throw error instanceof Dino8Error ? error : fileError('read', path, error);
  } finally {
    await file?.close();
  }
}

const tooLarge = (path: string, size: number, maxBytes: number) =>
  new InputError(`${path} has ${size} bytes, more than the ${maxBytes} accepted here.`);

/** Reads `length` bytes from `offset` of an open file, or fewer if the file ends before. */
async function readRange(file: FileHandle, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const wanted = Math.min(length - done, MAX_BYTES_PER_CALL);
    const { bytesRead } = await file.read(bytes, done, wanted, offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}

/** Reads a UTF-8 file. @throws UsageError or InputError, as `readBytes`; InputError if the file is not UTF-8 */
export async function readText(path: string, maxBytes = 1 << 29): Promise<string> {
  const bytes = await readBytes(path, maxBytes);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InputError(`${path} is not UTF-8 text; is it the right file?`);
  }
}

/** Reads a JSON file, whose content the caller must check. @throws as `readText`; InputError if it is not JSON */
export async function readJson(path: string, maxBytes?: number): Promise<unknown> {
  const text = await readText(path, maxBytes);
  try {
    return JSON.parse(text);
  } catch (error) {
    const what = foreignKind(contentKind(new TextEncoder().encode(text.slice(0, KIND_BYTES))));
    throw new InputError(what ? `${path} ${what}.` : `${path} is not valid JSON (${messageOf(error)}).`);
  }
}

/**
 * Writes a file so that it appears whole or not at all: the pieces are written to a temporary file beside it, which is
 * synchronised to the disk and then renamed. The pieces are not copied or joined in memory. A symbolic link stays, and the file
 * that it names is written; a file that exists keeps its mode; a device or a pipe is written to.
 * @throws UsageError if the folder does not exist or `path` is a directory; InputError if the disk is full or the write fails
 */
export async function writeAtomic(path: string, pieces: string | Iterable<Uint8Array>): Promise<void> {
  checkPath(path);
  const bytes = typeof pieces === 'string' ? [Buffer.from(pieces)] : pieces;
  try {
    const place = await findPlace(path);
    if (place.kind === 'stream') for (const piece of bytes) await writeToStandardStream(place.stream, piece);
    else if (place.kind === 'device') await writeToDevice(place.path, bytes);
    else await (await stageAt(place, bytes, path)).publish();
  } catch (error) {
    throw error instanceof Dino8Error ? error : fileError('write', path, error);
  }
}

/** Writes into what is there. A named pipe waits for its reader: what is written into one that nobody reads would be lost. */
async function writeToDevice(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, constants.O_WRONLY);
  try {
    await writeAll(file, pieces);
  } finally {
    await file.close();
  }
}

/** A file that is complete and does not have its name yet. Exactly one of the two functions must be called. */
export interface StagedFile {
  /** Gives it its name, in place of the file that has it. */
  publish(): Promise<void>;
  /** Removes it. It may be called after `publish`, and has no effect then. */
  discard(): Promise<void>;
}

/**
 * Writes a file as `writeAtomic` does, up to the moment in which it gets its name.
 * @throws UsageError or InputError as `writeAtomic`; nothing is left then
 */
export async function stageFile(path: string, pieces: string | Iterable<Uint8Array>): Promise<StagedFile> {
  const bytes = typeof pieces === 'string' ? [Buffer.from(pieces)] : pieces;
  try {
    const place = await findPlace(path);
    if (place.kind === 'file') return await stageAt(place, bytes, path);
  } catch (error) {
    throw fileError('write', path, error);
  }
  return { publish: () => writeAtomic(path, bytes), discard: async () => undefined };
}

async function stageAt(
  place: Place & { readonly kind: 'file' },
  pieces: Iterable<Uint8Array>,
  name: string,
): Promise<StagedFile> {
  await removeLeftovers(dirname(place.path));
  const temporary = temporaryBeside(place.path);
  const file = await open(temporary, 'wx');
  let isOpen = true;
  const end = async (isPublished: boolean) => {
    if (!isOpen) return;
    isOpen = false;
    if (!isPublished) await unlink(temporary).catch(() => undefined);
    await file.close().catch(() => undefined);
  };
  try {
    // The lock tells other processes that the file is no leftover, and lasts until the file has its name.
    await tryLock(file.fd);
    await writeAll(file, pieces);
    await takeOver(file, place);
    await file.sync();
  } catch (error) {
    await end(false);
    throw error;
  }
  return {
    publish: async () => {
      try {
        await rename(temporary, place.path);
      } catch (error) {
        await end(false);
        throw fileError('write', name, error);
      }
      await end(true);
      await syncDirectory(dirname(place.path));
    },
    discard: () => end(false),
  };
}

/** Gives a new file the owner and the mode of the one that it replaces. */
async function takeOver(file: FileHandle, { replaces }: Place & { readonly kind: 'file' }): Promise<void> {
  if (!replaces) return;
  const own = await file.stat();
  if (own.uid !== replaces.uid || own.gid !== replaces.gid)
    // Only the administrator may give files away.
    await file.chown(replaces.uid, replaces.gid).catch(() => undefined);
  await file.chmod(replaces.mode & 0o7777);
}

/**
 * Makes a complete temporary file the file `path`, durably.
 * @throws InputError if that fails
 */
export async function publishFile(temporary: string, path: string): Promise<void> {
  try {
    const place = await findPlace(path);
    if (place.kind === 'stream')
      for await (const piece of createReadStream(temporary)) await writeToStandardStream(place.stream, piece);
    else if (place.kind === 'device') await pipeline(createReadStream(temporary), createWriteStream(place.path));
    else return await moveTo(temporary, place);
    await unlink(temporary);
  } catch (error) {
    throw fileError('write', path, error);
  }
}

async function moveTo(temporary: string, place: Place & { readonly kind: 'file' }): Promise<void> {
  const file = await open(temporary, 'r+');
  try {
    await takeOver(file, place);
    await file.sync();
  } finally {
    await file.close();
  }
  try {
    await rename(temporary, place.path);
  } catch (error) {
    if (systemCode(error) !== 'EXDEV') throw error;
    // A link leads to another file system, so the content is copied to it first.
    const near = temporaryBeside(place.path);
    await copyFile(temporary, near);
    await moveTo(near, place);
    await unlink(temporary);
    return;
  }
  await syncDirectory(dirname(place.path));
}

/** Writes all pieces with as few system calls as the platform allows, and continues after partial writes. */
async function writeAll(file: FileHandle, pieces: Iterable<Uint8Array>): Promise<void> {
  let pending: Uint8Array[] = [];
  let bytes = 0;
  const flush = async () => {
    while (pending.length > 0) {
      const { bytesWritten } = await file.writev(pending);
      pending = dropBytes(pending, bytesWritten);
    }
    bytes = 0;
  };
  for (const whole of pieces) {
    for (let start = 0; start < whole.length; start += MAX_BYTES_PER_CALL) {
      const piece = whole.subarray(start, start + MAX_BYTES_PER_CALL);
      if (pending.length === MAX_PIECES || bytes + piece.length > MAX_BYTES_PER_CALL) await flush();
      pending.push(piece);
      bytes += piece.length;
    }
  }
  await flush();
}

/** The pieces without their first `count` bytes. */
function dropBytes(pieces: Uint8Array[], count: number): Uint8Array[] {
  let left = count;
  let index = 0;
  while (index < pieces.length && left >= (pieces[index]?.length ?? 0)) left -= pieces[index++]?.length ?? 0;
  const rest = pieces.slice(index);
  if (left > 0 && rest[0]) rest[0] = rest[0].subarray(left);
  return rest;
}

/** Makes a rename durable by synchronising its directory. File systems that do not support this are tolerated. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r').catch(() => undefined);
  await directory?.sync().catch(() => undefined);
  await directory?.close();
}

/** The names of what is in a folder. @throws UsageError or InputError if it is no folder or cannot be read */
export async function namesIn(path: string): Promise<string[]> {
  return (await entriesOf(path)).map(({ name }) => name);
}

/**
 * Lists the contents of a folder.
 * @param recursive whether the contents of subfolders are listed too
 * @throws UsageError or InputError if it is no folder or cannot be read
 */
export async function entriesOf(path: string, recursive = false): Promise<Dirent[]> {
  checkPath(path);
  try {
    return await readdir(path, { withFileTypes: true, recursive });
  } catch (error) {
    throw fileError('read', path, error);
  }
}

/** Creates a directory and its parents. @throws UsageError or InputError if it cannot be created */
export async function makeDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw systemCode(error) === 'EEXIST'
      ? new UsageError(`${path} is a file where a directory is needed; name another.`)
      : fileError('write', path, error);
  }
}

/** True if `path` is a directory. */
export async function isDirectory(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() ?? false;
}

/** The codes of system errors that say that there is nothing at a path. */
const NOTHING_THERE = new Set(['ENOENT', 'ENOTDIR', 'ENAMETOOLONG', 'ERR_INVALID_ARG_VALUE', 'ERR_INVALID_ARG_TYPE']);

/**
 * True if there is a file or directory at `path`, and also if the system does not tell, as in a folder without permission: whoever
 * reads it then says what is wrong.
 */
export async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    return !NOTHING_THERE.has(systemCode(error) ?? '');
  }
}

/**
 * The size in bytes of a file, or of all files in a folder and below it. Links to folders, which may lead in circles, and links
 * to nothing count for nothing.
 * @throws UsageError or InputError if there is nothing at the path, or a folder cannot be read
 */
export async function sizeOf(path: string): Promise<number> {
  const found = await stat(path).catch((error: unknown) => {
    throw fileError('read', path, error);
  });
  if (!found.isDirectory()) return found.size;
  const sizes = (await entriesOf(path)).map(async (entry) => {
    const inside = join(path, entry.name);
    if (entry.isDirectory()) return sizeOf(inside);
    const file = await stat(inside).catch(() => undefined);
    return file?.isFile() ? file.size : 0;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
