/** Where a result goes that is written to a path: links are followed, and what is no regular file is not replaced. */
import type { Stats } from 'node:fs';
import { lstat, readlink, realpath, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { systemCode } from './errors.ts';

/** The place of a result. */
export type Place =
  /** A regular file, or nothing yet. */
  | { readonly kind: 'file'; readonly path: string; readonly replaces: Stats | undefined }
  /** A device, a named pipe or a socket. */
  | { readonly kind: 'device'; readonly path: string }
  /** The standard output or the standard error of this process. */
  | { readonly kind: 'stream'; readonly stream: NodeJS.WriteStream };

/** The files that /dev/stdout and its like link to. */
const DESCRIPTOR = /^\/(?:dev|proc\/(?:self|\d+))\/fd\/(\d+)$/;
/** The number of links that Linux follows. */
const MAX_LINKS = 40;

/**
 * Finds the place of a result.
 * @throws a system error: EISDIR if a directory is there, ELOOP if links lead in a circle
 */
export async function findPlace(path: string): Promise<Place> {
  let at = resolve(path);
  for (let links = 0; ; links++) {
    const descriptor = DESCRIPTOR.exec(at)?.[1];
    if (descriptor === '1') return { kind: 'stream', stream: process.stdout };
    if (descriptor === '2') return { kind: 'stream', stream: process.stderr };
    const found = await lstat(at).catch(ifMissing);
    if (!found?.isSymbolicLink()) break;
    // The next is a descriptor that leads to no path, such as the pipe of a shell's substitution.
    if (descriptor !== undefined) return { kind: 'device', path: at };
    if (links === MAX_LINKS) throw Object.assign(new Error('too many symbolic links'), { code: 'ELOOP' });
    at = resolve(await realpath(dirname(at)), await readlink(at));
  }
  const found = await stat(at).catch(ifMissing);
  if (found?.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
  if (found && !found.isFile()) return { kind: 'device', path: at };
  return { kind: 'file', path: at, replaces: found };
}

/** True if nothing but a device, a pipe or a standard stream is at `path`: it takes one stream of bytes, and nothing is kept in it. */
export async function isStream(path: string): Promise<boolean> {
  const place = await findPlace(path).catch(() => undefined);
  return place !== undefined && place.kind !== 'file';
}

/** The path of the state of the work on `output`, beside it; undefined if that is not asked for, or is no file. */
export async function stateBeside(output: string | undefined, ending: string): Promise<string | undefined> {
  return output === undefined || (await isStream(output)) ? undefined : `${output}${ending}`;
}

function ifMissing(error: unknown): undefined {
  if (systemCode(error) !== 'ENOENT') throw error;
}

/** Writes to a standard stream in its turn among everything else that is printed there. */
export function writeToStandardStream(stream: NodeJS.WriteStream, piece: Uint8Array): Promise<void> {
  return new Promise((done, fail) => {
    stream.write(piece, (error) => (error ? fail(error) : done()));
  });
}
