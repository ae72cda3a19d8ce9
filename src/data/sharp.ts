/**
 * sharp, which decodes, resizes and encodes pictures. Settings of the process-wide library are left alone: it is imported as a
 * program imports it that uses it too, because its other form, that of `require`, sets everything back when it loads.
 */
import type Library from 'sharp';
import type { Sharp, SharpInput, SharpOptions } from 'sharp';
import { doesNotLoad } from '../runtime/load-library.ts';

let loaded: typeof Library | undefined;

/** Starts a pipeline of sharp, which is loaded at the first call. @throws RuntimeError if it has no build for this platform */
export async function sharp(input: SharpInput, options?: SharpOptions): Promise<Sharp> {
  try {
    loaded ??= (await import('sharp')).default;
  } catch (error) {
    throw doesNotLoad('sharp', 'which reads and writes pictures', error);
  }
  return loaded(input, options);
}
