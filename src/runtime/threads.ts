/**
 * The number of threads of the sessions that a piece of work makes. Many sessions are small and made far below the options of
 * a step, such as those that fold constants or round weights, so the number is kept beside the calls and not in each of them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { availableParallelism } from 'node:os';
import { checkValue, optional, wholeNumber } from '../base/check-options.ts';

/** The number of threads that a session may have: more than any machine has cores, and few enough for its memory. */
export const MOST_THREADS = 1024;

/** The option of everything that runs ONNX Runtime. */
export interface ThreadOptions {
  /** Threads of ONNX Runtime, at most 1024; one for each core by default. */
  readonly threads?: number | undefined;
}

const current = new AsyncLocalStorage<number>();

/**
 * Does `work`, in which every session has `threads` threads unless its own options say otherwise.
 *
 * @param threads undefined leaves the number as it is around the call
 * @throws UsageError if `threads` is no whole number from 1 to 1024
 */
export async function withThreads<T>(threads: number | undefined, work: () => Promise<T>): Promise<T> {
  if (threads === undefined) return work();
  checkThreads(threads);
  return current.run(threads, work);
}

/** The number of threads of a session that is made here and states none. */
export function defaultThreads(): number {
  return current.getStore() ?? availableParallelism();
}

/** What `threads` must be. */
export const threadsSchema = optional(wholeNumber(1, MOST_THREADS));

/** @throws UsageError if `threads` is no whole number from 1 to 1024 */
function checkThreads(threads: number): void {
  checkValue('`threads`', threadsSchema, threads);
}
