/** The forms in which the engine was compiled, and which of them run here. */
import { webAssembly } from './web-assembly.ts';

/** A form of the engine: with the relaxed instructions of WebAssembly, or with its vectors alone. */
export type EngineVariant = 'relaxed' | 'simd';

/**
 * A module of one function without parameters that returns a vector.
 * @param body its instructions (https://webassembly.github.io/spec/core/binary/instructions.html)
 */
const moduleOf = (body: readonly number[]): Uint8Array =>
  Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0], // the format and its version
    ...[1, 5, 1, 0x60, 0, 1, 0x7b], // types: () -> v128
    ...[3, 2, 1, 0], // functions: one, of that type
    ...[10, body.length + 4, 1, body.length + 2, 0, ...body, 0x0b], // code: one body without local variables
  ]);

/** A vector of four zeros: i32.const 0, i32x4.splat. */
const ZEROS = [0x41, 0, 0xfd, 0x11];

/** For each form a function with an instruction that it needs, the fastest form first. */
const PROBES: readonly (readonly [EngineVariant, Uint8Array])[] = [
  // i32x4.relaxed_dot_i8x16_i7x16_add_s
  ['relaxed', moduleOf([...ZEROS, ...ZEROS, ...ZEROS, 0xfd, 0x93, 0x02])],
  // i32x4.dot_i16x8_s
  ['simd', moduleOf([...ZEROS, ...ZEROS, 0xfd, 0xba, 0x01])],
];

/**
 * The forms of the engine that run here, the fastest first; none in browsers without vectors.
 * @example
 * const [variant = 'simd'] = supportedVariants();
 */
export function supportedVariants(): readonly EngineVariant[] {
  return PROBES.filter(([, probe]) => webAssembly.validate(probe)).map(([variant]) => variant);
}
