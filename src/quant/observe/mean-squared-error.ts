/** The range with the smallest mean squared error of quantization, found by trying ranges on a histogram. */
import { affineOf, dequantize, quantize, type Range, type Scheme } from '../scheme.ts';
import type { BinnedValues } from './histogram.ts';

/** First, the ends of the range are tried at these fractions of the observed extremes. */
const COARSE = Array.from({ length: 40 }, (_, step) => 1 - step / 40);
/** Then the ends are tried at these distances around the best ones. */
const FINE = [-0.02, -0.015, -0.01, -0.005, 0.005, 0.01, 0.015, 0.02];

/** Σ count · (x − x̂)² over the middles of the bins. */
export function squaredError({ counts, edges }: BinnedValues, range: Range, scheme: Scheme): number {
  const affine = affineOf(range, scheme);
  let error = 0;
  for (let bin = 0; bin < counts.length; bin++) {
    const count = counts[bin] ?? 0;
    if (count === 0) continue;
    const x = ((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2;
    error += count * (x - dequantize(quantize(x, affine, scheme), affine)) ** 2;
  }
  return error;
}

/**
 * The range with the smallest squared error.
 *
 * @param seen the whole range of the values: the result is never wider
 */
export function minimumErrorRange(bins: BinnedValues, seen: Range, scheme: Scheme): Range {
  let best = { range: seen, error: squaredError(bins, seen, scheme), low: 1, high: 1 };
  const attempt = (low: number, high: number) => {
    if (low < 0 || high < 0 || low > 1 || high > 1) return;
    const range = { min: Math.min(seen.min, 0) * low, max: Math.max(seen.max, 0) * high };
    const error = squaredError(bins, range, scheme);
    if (error < best.error) best = { range, error, low, high };
  };
  for (const fraction of COARSE) attempt(fraction, fraction);
  // Each end alone, then both again more finely: the error has one valley in each direction.
  if (!scheme.symmetric) {
    for (const fraction of COARSE) attempt(best.low, fraction);
    for (const fraction of COARSE) attempt(fraction, best.high);
  }
  const { low, high } = best;
  for (const step of FINE) {
    attempt(low + step, high + step);
    if (scheme.symmetric) continue;
    attempt(best.low, high + step);
    attempt(low + step, best.high);
  }
  return best.range;
}
