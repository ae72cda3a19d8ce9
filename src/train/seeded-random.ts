/** Random numbers that follow from a seed and a purpose, so that they do not depend on what was drawn before. */
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';

const STEPS = 2 ** 30;

/**
 * A stream of random numbers.
 * @param key whole numbers: a seed, and what the numbers are for
 * @returns a function that returns the next number, uniform in [0, 1)
 */
export function seededRandom(...key: readonly number[]): () => number {
  const seed = key.reduce((state, part) => (Math.imul(state ^ part, 0x9e3779b1) ^ (state >>> 15)) | 0, 0x2545f491);
  const generator = xoroshiro128plus(seed);
  return () => uniformInt(generator, 0, STEPS - 1) / STEPS;
}

/** `random` as a function that returns whole numbers from 0 to less than a limit. */
export const below = (random: () => number) => (limit: number) => Math.floor(random() * limit);
