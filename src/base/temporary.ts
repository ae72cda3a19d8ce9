/** Names of files that are not complete yet, and the removal of those that dead processes left behind. */
import { createHash, randomBytes } from 'node:crypto';
import { constants, open, readdir, rm, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isRunning, tryLock } from './file-lock.ts';

/** Ending of the names, before which there are the number of the process and a random number. */
const ENDING = '.dino8.tmp';
const NAME = /^\..*\.(\d{1,10})\.[0-9a-f]{16}\.dino8\.tmp$/;

/** File systems take names of 255 bytes; this is what is left for the name of the result itself. */
const MAX_NAME_BYTES = 200;

/** The path of a new hidden file or folder beside `path`, which becomes that one when it is complete. */
export function temporaryBeside(path: string): string {
  const name = basename(path);
  const short =
    Buffer.byteLength(name) <= MAX_NAME_BYTES ? name : createHash('sha256').update(name).digest('hex').slice(0, 16);
  return join(dirname(path), `.${short}.${process.pid}.${randomBytes(8).toString('hex')}${ENDING}`);
}

/** True for the name of a file or folder that is not complete yet. */
export const isTemporary = (name: string): boolean => NAME.test(name);

const swept = new Set<string>();

/**
 * Removes from a folder what dead processes left unfinished, once in the life of this process. A folder that cannot be listed is
 * left alone.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  const place = resolve(folder);
  if (swept.has(place)) return;
  swept.add(place);
  for (const name of await readdir(place).catch(() => [])) {
    const pid = Number(NAME.exec(name)?.[1] ?? 0);
    if (pid > 0 && pid !== process.pid && !isRunning(pid)) await removeUnlocked(join(place, name));
  }
}

/** Follows no link, and does not wait for the other end of a pipe. */
const READ_AS_IT_IS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0);

/** A process in another container is not seen from here; but it has a lock on the file that it writes. */
async function removeUnlocked(path: string): Promise<void> {
  const file = await open(path, READ_AS_IT_IS).catch(() => undefined);
  if (!file) return;
  try {
    if ((await tryLock(file.fd)) === false) return;
    const [info, now] = [await file.stat(), await stat(path)];
    if (info.ino === now.ino) await rm(path, { recursive: true, force: true });
  } catch {
    // Somebody else has removed it, or owns it.
  } finally {
    await file.close();
  }
}
