/** sharp, which decodes, resizes and encodes pictures. Settings of the process-wide library are left alone. */
import type Library from 'sharp';
import type { Sharp, SharpInput, SharpOptions } from 'sharp';
import { loadLibrary } from '../runtime/load-library.ts';

let loaded: typeof Library | undefined;

/** Starts a pipeline of sharp, which is loaded at the first call. @throws RuntimeError if it has no build for this platform */
export function sharp(input: SharpInput, options?: SharpOptions): Sharp {
  loaded ??= loadLibrary('sharp', 'which reads and writes pictures') as typeof Library; // by its name
  return loaded(input, options);
}
