/** How many threads a page may have. They share memory, which browsers allow only to pages that are isolated from others. */
import { UsageError } from '../base/errors.ts';

/** More threads than this wait for each other more than they help. */
const MOST_THREADS = 8;

/** What is read of a browser's global scope, of which Node.js has a part. */
interface BrowserScope {
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
}
const scope = globalThis as BrowserScope; // Node.js has other members

/**
 * Whether a detector may use several threads here. They share memory, which browsers allow only to pages that are isolated from others.
 * @example
 * if (!canUseThreads()) console.log('The server does not send the headers that allow threads.');
 */
export const canUseThreads = (): boolean => scope.crossOriginIsolated === true;

/**
 * The number of threads of a detector.
 * @param asked undefined takes one for each core, up to eight, or a single one where threads are not possible
 * @throws UsageError if more than one are asked for on a page without isolation
 */
export function possibleThreads(asked: number | undefined): number {
  if (asked !== undefined && asked > 1 && !canUseThreads())
    throw new UsageError(
      `\`threads\` is ${asked}, but this page may use a single thread, because it is not isolated; have the server send the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave \`threads\` out.`,
    );
  const cores = canUseThreads() ? (scope.navigator?.hardwareConcurrency ?? 1) : 1;
  return asked ?? Math.min(MOST_THREADS, cores);
}
