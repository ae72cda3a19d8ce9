/**
 * By how much two ways to compute the same may differ in single precision, for tests of kernels. A test that knows these bounds
 * tells which bytes of quantized numbers can be rounded either way, and demands that all others are the same.
 */

/** Half of the distance between 1 and the next number of single precision. */
const UNIT = 2 ** -24;

/** True if `value` is so near to the middle between two multiples of `scale` that an error below `error` moves it across. */
export function isNearMiddle(value: number, scale: number, error: number): boolean {
  const steps = value / scale;
  return Math.abs(steps - Math.floor(steps) - 0.5) * scale < error;
}

/**
 * Returns the most by which the numbers of two layer normalizations of a row in single precision differ, whose scale and bias are
 * at most 1. Both add the numbers of a row in at least four parts, or have at most 16, so that a part has rounded errors of γ =
 * (count / 4 + 16) · 2^-24 of the sum of magnitudes (Higham, Accuracy and Stability of Numerical Algorithms, section 4.2). The
 * mean has the same share of the mean magnitude as its error, and variance, inverse and result add no more than γ of the result
 * and the square of the mean's error.
 */
export function layerNormError(row: Float32Array, epsilon: number): number {
  const mean = row.reduce((sum, x) => sum + x, 0) / row.length;
  const magnitude = row.reduce((sum, x) => sum + Math.abs(x), 0) / row.length;
  const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / row.length;
  const inverse = 1 / Math.sqrt(variance + epsilon);
  const largest = row.reduce((most, x) => Math.max(most, Math.abs(x - mean)), 0) * inverse;
  const share = (row.length / 4 + 16) * UNIT;
  const ofMean = share * magnitude * inverse;
  return 2 * (ofMean + largest * (share + ofMean ** 2) + 2 * UNIT);
}
