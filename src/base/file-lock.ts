/**
 * Locks between processes. The kernel holds them (flock), so a lock ends with its process, however that ends: nothing can be
 * left locked, and a number that a new process has got is never taken for the old one.
 */
import { readFileSync } from 'node:fs';
import { systemCode } from './errors.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

let loading: Promise<((descriptor: number) => boolean | undefined) | undefined> | undefined;

/** Loads flock of the C library; undefined where there is none. */
async function loadFlock() {
  if (process.platform === 'win32') return undefined;
  try {
    const { default: koffi } = await import('koffi');
    const flock = koffi.load(null).func('int flock(int descriptor, int operation)');
    return (descriptor: number) => {
      if (flock(descriptor, LOCK_EX | LOCK_NB) === 0) return true;
      return koffi.errno() === koffi.os.errno.EAGAIN ? false : undefined;
    };
  } catch {
    return undefined;
  }
}

/**
 * Locks an open file or folder for this process, until it is closed.
 * @returns false if another process has the lock; undefined if the system or the file system has no locks
 */
export async function tryLock(descriptor: number): Promise<boolean | undefined> {
  loading ??= loadFlock();
  return (await loading)?.(descriptor);
}

/** True if a process of this number runs, as far as this process can see. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
  try {
    // A process that has ended stays in the table until its parent asks for its exit code.
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}
