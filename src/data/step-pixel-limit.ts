/**
 * The limit of pixels of a step. It holds for every picture that is read within the step, however far below its options, so it is
 * kept beside the calls, as the number of threads is.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { DEFAULT_MAX_PIXELS } from './pixel-limit.ts';

const current = new AsyncLocalStorage<number>();

/** Does `work`, in which pictures may have `maxPixels`; undefined leaves the limit as it is around the call. */
export function withPixelLimit<T>(maxPixels: number | undefined, work: () => Promise<T>): Promise<T> {
  return maxPixels === undefined ? work() : current.run(maxPixels, work);
}

/** The number of pixels that a picture may have that is read here. */
export const pixelLimit = (): number => current.getStore() ?? DEFAULT_MAX_PIXELS;
