/**
 * The number of threads of the sessions that a piece of work makes. Many sessions are small and made far below the options of
 * a step, such as those that fold constants or round weights, so the number is kept beside the calls and not in each of them.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { availableParallelism } from 'node:os';
import { checkValue, optional, wholeNumber } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';

/** The number of threads that a session may have: more than any machine has cores, and few enough for its memory. */
export const MOST_THREADS = 1024;

/** The option of everything that runs ONNX Runtime. */
export interface ThreadOptions {
  /** Threads of ONNX Runtime, at most 1024; by default what DINO8_THREADS says, else one for each core. */
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

/** The environment variable with the number of threads of all work that states none. */
const VARIABLE = 'DINO8_THREADS';

/**
 * The number of threads of work that starts here and states none: that of the work around it, that of the environment
 * variable DINO8_THREADS, or one for each core. A quota of processor time, such as a container's, has no influence on the
 * number of cores that is seen, so that the variable is the way to tell it.
 *
 * @throws UsageError if DINO8_THREADS is no whole number from 1 to 1024
 */
export function defaultThreads(): number {
  return current.getStore() ?? threadsOfEnvironment() ?? availableParallelism();
}

function threadsOfEnvironment(): number | undefined {
  const text = process.env[VARIABLE];
  if (!text) return undefined;
  const threads = Number(text);
  if (!Number.isInteger(threads) || threads < 1 || threads > MOST_THREADS)
    throw new UsageError(`${VARIABLE} must be a whole number from 1 to ${MOST_THREADS}, not "${printable(text)}".`);
  return threads;
}

/** What `threads` must be. */
export const threadsSchema = optional(wholeNumber(1, MOST_THREADS));

/** @throws UsageError if `threads` is no whole number from 1 to 1024 */
function checkThreads(threads: number): void {
  checkValue('`threads`', threadsSchema, threads);
}
