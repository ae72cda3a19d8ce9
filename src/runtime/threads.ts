/**
 * The number of threads of the sessions that a piece of work makes. Many sessions are small and made far below the options of
 * a step, such as those that fold constants or round weights, so the number is kept beside the calls and not in each of them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { availableParallelism } from 'node:os';
import { UsageError } from '../base/errors.ts';

/** The option of everything that runs ONNX Runtime. */
export interface ThreadOptions {
  /** Threads of ONNX Runtime; one for each core by default. */
  readonly threads?: number | undefined;
}

const current = new AsyncLocalStorage<number>();

/**
 * Does `work`, in which every session has `threads` threads unless its own options say otherwise.
 *
 * @param threads undefined leaves the number as it is around the call
 * @throws UsageError if `threads` is no whole number of at least 1
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

/** @throws UsageError if `threads` is no whole number of at least 1 */
export function checkThreads(threads: number): void {
  if (!Number.isSafeInteger(threads) || threads < 1)
    throw new UsageError(`\`threads\` must be a whole number of at least 1, not ${threads}.`);
}
