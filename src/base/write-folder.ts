/** Writes a folder of several files that belong together: it appears as a whole or not at all. */
import { mkdir, open, rename, rm, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { InputError, UsageError } from './errors.ts';
import { tryLock } from './file-lock.ts';
import { exists, fileError, makeDirectory, type StagedFile, stageFile, writeAtomic } from './files.ts';
import { removeLeftovers, temporaryBeside } from './temporary.ts';

/** The content of a file, as `writeAtomic` takes it. */
export type Content = string | Iterable<Uint8Array>;

/** The number of bytes that a file with this content has. */
export function contentLength(content: Content): number {
  if (typeof content === 'string') return Buffer.byteLength(content);
  let length = 0;
  for (const piece of content) length += piece.length;
  return length;
}

/**
 * Writes files into a folder, which is made if it does not exist. Other files in it stay.
 *
 * A new folder gets its name when all files are in it. In a folder that exists, every file is complete before the first gets
 * its name; then the decisive files are removed, and appear last. So no moment has old files beside new ones.
 *
 * @param files the contents, by paths in the folder
 * @param decisive the paths of the files without which nobody reads the others
 * @throws UsageError or InputError if a file cannot be written; what was in the folder is then unchanged
 */
export async function writeFolder(
  folder: string,
  files: ReadonlyMap<string, Content>,
  decisive: readonly string[],
): Promise<void> {
  // A folder that exists may be somebody's working directory, and has its own mode: it is never replaced.
  if (await exists(folder)) await writeInto(folder, files, decisive);
  else await writeNew(folder, files);
}

async function writeNew(folder: string, files: ReadonlyMap<string, Content>): Promise<void> {
  await makeDirectory(dirname(folder));
  await removeLeftovers(dirname(folder));
  const staging = temporaryBeside(folder);
  try {
    await mkdir(staging);
  } catch (error) {
    throw fileError('write', folder, error);
  }
  const handle = await open(staging, 'r').catch(() => undefined);
  try {
    // The lock tells other processes that the folder is no leftover.
    if (handle) await tryLock(handle.fd);
    for (const [path, content] of files) {
      await makeDirectory(dirname(join(staging, path)));
      // Errors name the place that the user knows.
      await writeAtomic(join(staging, path), content).catch((error: unknown) => renamed(error, staging, folder));
    }
    try {
      await rename(staging, folder);
    } catch (error) {
      throw fileError('write', folder, error);
    }
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    throw error;
  } finally {
    await handle?.close();
  }
}

function renamed(error: unknown, staging: string, folder: string): never {
  if (error instanceof UsageError) throw new UsageError(error.message.replaceAll(staging, folder));
  if (error instanceof InputError) throw new InputError(error.message.replaceAll(staging, folder));
  throw error;
}

async function writeInto(
  folder: string,
  files: ReadonlyMap<string, Content>,
  decisive: readonly string[],
): Promise<void> {
  const staged = new Map<string, StagedFile>();
  try {
    for (const [path, content] of files) {
      await makeDirectory(dirname(join(folder, path)));
      staged.set(path, await stageFile(join(folder, path), content));
    }
    // A single file replaces the old one at once.
    if (files.size > 1) for (const path of decisive) await unlink(join(folder, path)).catch(() => undefined);
    const isDecisive = (path: string) => decisive.includes(path);
    for (const [path, file] of staged) if (!isDecisive(path)) await file.publish();
    for (const [path, file] of staged) if (isDecisive(path)) await file.publish();
  } catch (error) {
    for (const file of staged.values()) await file.discard();
    throw error;
  }
}
