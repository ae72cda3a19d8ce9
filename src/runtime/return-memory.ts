/** A setting of glibc's malloc, by which large blocks go back to the system when they are freed. */
import { koffi } from './koffi.ts';

/** mallopt's number for the size from which a block is mapped on its own (malloc.h). */
const M_MMAP_THRESHOLD = -3;
const LARGE = 1 << 20;

/**
 * Makes glibc's malloc map blocks of a megabyte and more on their own, for the rest of the process. By default malloc
 * raises that size with each block that is freed, up to 32 MB, and keeps smaller blocks in a heap for each thread. Runs on
 * several threads then hold several times the memory of one run. This changes the whole process, so only commands call it.
 *
 * @returns whether the setting was made; other C libraries do not have it
 */
export function returnLargeBlocks(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return koffi().load('libc.so.6').func('int mallopt(int, int)')(M_MMAP_THRESHOLD, LARGE) === 1;
  } catch {
    return false; // another C library
  }
}
