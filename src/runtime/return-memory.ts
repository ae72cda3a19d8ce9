/** Large blocks that go back to the system when they are freed. */
import koffi from 'koffi';

/** mallopt's number for the size from which a block is mapped on its own (malloc.h). */
const M_MMAP_THRESHOLD = -3;
const LARGE = 1 << 20;

/**
 * Makes glibc's malloc map blocks of a megabyte and more on their own, for the rest of the process. Left alone it raises
 * that size with each block that is freed, up to 32 MB, and keeps what is smaller in a heap for each thread: with runs on
 * several threads, several times the memory of one run. Answers whether there is a malloc that can be told so.
 */
export function returnLargeBlocks(): boolean {
  if (process.platform !== 'linux') return false;
  try {
    return koffi.load('libc.so.6').func('int mallopt(int, int)')(M_MMAP_THRESHOLD, LARGE) === 1;
  } catch {
    return false; // another C library
  }
}
