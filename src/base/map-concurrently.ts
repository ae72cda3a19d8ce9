import type { WorkOptions } from './progress.ts';

/** Options of `mapConcurrently`. */
export interface MapOptions extends WorkOptions {
  /** The name of the work in progress reports. */
  readonly label: string;
  /** The number of items that are worked on at the same time. */
  readonly limit: number;
}

/** The results of an asynchronous function for each item, in their order, with a limit on how many run at the same time. */
export async function mapConcurrently<T, R>(
  items: readonly T[],
  work: (item: T) => Promise<R>,
  { label, limit, onProgress, signal }: MapOptions,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  let done = 0;
  const takeItems = async () => {
    while (next < items.length) {
      signal?.throwIfAborted();
      const index = next++;
      results[index] = await work(items[index] as T); // an index below the length
      onProgress?.({ label, done: ++done, total: items.length });
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, takeItems));
  return results;
}
