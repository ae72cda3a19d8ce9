/** Which form of the engine a browser runs. */
import { EngineModule, type EngineVariant, supportedVariants } from './engine/engine-module.ts';

/**
 * The bytes of the fastest form of the engine that computes exactly here. Relaxed instructions may differ between processors in what they
 * leave open (https://github.com/WebAssembly/relaxed-simd), which the engine tests for the numbers that it multiplies.
 * @param read returns the bytes of a form
 */
export async function chooseEngine<Bytes extends Uint8Array>(
  read: (variant: EngineVariant) => Promise<Bytes> | Bytes,
): Promise<Bytes> {
  const [best, ...others] = supportedVariants();
  const bytes = await read(best);
  const [next] = others;
  if (next === undefined || (await EngineModule.create(bytes)).isExact) return bytes;
  return read(next);
}
