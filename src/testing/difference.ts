/** Comparing arrays of numbers in tests: one expectation for a whole array, since one for each element takes seconds. */

/**
 * Returns the largest difference between two arrays, each divided by the magnitude of the expected number where that is
 * above 1. Returns NaN, which passes no comparison, if the lengths differ or a difference is not a number.
 */
export function largestDifference(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.NaN;
  let largest = 0;
  for (let index = 0; index < expected.length; index++) {
    const [found, wanted] = [actual[index] ?? Number.NaN, expected[index] ?? Number.NaN];
    const difference = Math.abs(found - wanted) / Math.max(1, Math.abs(wanted));
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

/** Returns whether two arrays have the same bytes. Vitest's `toEqual` needs seconds for a few hundred thousand elements. */
export function haveSameBytes(actual: NodeJS.TypedArray, expected: NodeJS.TypedArray): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: NodeJS.TypedArray) => Buffer.from(buffer, byteOffset, byteLength);
  return bytes(actual).equals(bytes(expected));
}
