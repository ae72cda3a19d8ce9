/** State on disk belongs to one process at a time: another one would double lines of a log, or write over its results. */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError, systemCode } from './errors.ts';
import { isRunning, tryLock } from './file-lock.ts';
import { fileError } from './files.ts';

/** A place that belongs to this process until it is given back. Giving it back again has no effect. */
export type Reservation = AsyncDisposable;

interface Held {
  readonly descriptor: number;
  users: number;
}

const held = new Map<string, Promise<Held>>();
const descriptors = new Map<string, number>();
/** Whether the end of the process gives back what is held: one listener for all that it ever holds. */
let isListening = false;

/**
 * Reserves a file or folder of state for this process by a lock file beside it, `<path>.lock`. Another process is refused, by
 * whatever links it names the place, and the same process is not.
 * @returns the reservation, for `await using`; the end of the process gives it back too
 * @throws InputError that names the process that has it, or if a file of another program has the name of the lock file
 */
export async function reserve(path: string): Promise<Reservation> {
  const place = `${await realPlace(path)}.lock`;
  const known = held.get(place);
  const taking = known ?? takeLock(path, place);
  if (!known) held.set(place, taking);
  let lock: Held;
  try {
    lock = await taking;
  } catch (error) {
    held.delete(place);
    throw error;
  }
  lock.users++;
  let isGivenBack = false;
  return {
    [Symbol.asyncDispose]: async () => {
      if (isGivenBack) return;
      isGivenBack = true;
      if (--lock.users > 0) return;
      held.delete(place);
      giveBack(place, lock.descriptor);
    },
  };
}

/** The path without symbolic links, of what may not exist yet. */
async function realPlace(path: string): Promise<string> {
  const full = resolve(path);
  const folder = dirname(full);
  return realpath(full).catch(async () => join(await realpath(folder).catch(() => folder), basename(full)));
}

/** Opens a lock file, which is made if there is none. A link is not followed, and a pipe does not wait for its other end. */
const OPEN_LOCK = constants.O_RDWR | constants.O_CREAT | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);
/** The content of a lock file: the number of the process, or nothing at the moment in which it is written. */
const OWNER = /^(\d{0,10})\n?$/;
const LONGEST_OWNER = 11;

function openLock(path: string, place: string): { readonly descriptor: number; readonly owner: number } {
  let descriptor: number;
  try {
    descriptor = openSync(place, OPEN_LOCK, 0o666);
  } catch (error) {
    throw ['ELOOP', 'EISDIR', 'ENXIO'].includes(systemCode(error) ?? '')
      ? foreignLock(path, place)
      : fileError('write', place, error);
  }
  const info = fstatSync(descriptor);
  const isOwn = info.isFile() && info.size <= LONGEST_OWNER;
  const owner = isOwn ? OWNER.exec(readFileSync(descriptor, 'latin1'))?.[1] : undefined;
  if (owner !== undefined) return { descriptor, owner: Number(owner) };
  closeSync(descriptor);
  throw foreignLock(path, place);
}

/** A lock file is emptied, and removed at the end; a file of another program, such as `yarn.lock`, must not be. */
const foreignLock = (path: string, place: string) =>
  new InputError(
    `${place} is no lock of dino8, which would have this name while ${path} is in use; choose another place, or rename that file.`,
  );

async function takeLock(path: string, place: string): Promise<Held> {
  for (;;) {
    const { descriptor, owner } = openLock(path, place);
    const isFree = (await tryLock(descriptor)) ?? !(owner > 0 && owner !== process.pid && isRunning(owner));
    if (!isFree) {
      closeSync(descriptor);
      throw new InputError(
        `${path} is in use by ${owner > 0 ? `the dino8 process ${owner}` : 'another dino8 process'}; wait until that has ended, or choose another place.`,
      );
    }
    if (isFileAt(place, descriptor)) {
      ftruncateSync(descriptor);
      writeSync(descriptor, `${process.pid}\n`, 0);
      if (!isListening) process.once('exit', giveAllBack);
      isListening = true;
      descriptors.set(place, descriptor);
      return { descriptor, users: 0 };
    }
    // The process that had the lock has removed the file in the meantime.
    closeSync(descriptor);
  }
}

/** Whether the open file is still the one at its path. */
function isFileAt(place: string, descriptor: number): boolean {
  const now = statSync(place, { bigint: true, throwIfNoEntry: false });
  const open = fstatSync(descriptor, { bigint: true });
  return now?.ino === open.ino && now.dev === open.dev;
}

function giveBack(place: string, descriptor: number): void {
  descriptors.delete(place);
  try {
    // Only the file of this lock: its folder may have been removed, and made again by another process.
    if (isFileAt(place, descriptor)) unlinkSync(place);
  } catch {
    // A lock file that stays is taken over by the next process.
  }
  closeSync(descriptor);
}

function giveAllBack(): void {
  for (const [place, descriptor] of descriptors) giveBack(place, descriptor);
}
