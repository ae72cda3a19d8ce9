/** koffi, which calls functions of C libraries. */
import type * as Koffi from 'koffi';
import { loadLibrary } from './load-library.ts';

let loaded: typeof Koffi | undefined;

/** Returns koffi, which is loaded at the first call. @throws RuntimeError if it has no build for this platform */
export function koffi(): typeof Koffi {
  loaded ??= loadLibrary('koffi', 'by which dino8 calls ONNX Runtime') as typeof Koffi; // by its name
  return loaded;
}
