/** The range with the smallest mean squared error of quantization, found by trying ranges on a histogram. */
import { affineOf, type Range, type Scheme } from '../scheme.ts';
import type { BinnedValues } from './histogram.ts';

/** First, the ends of the range are tried at these fractions of the observed extremes. */
const COARSE = Array.from({ length: 40 }, (_, step) => 1 - step / 40);
/** Then the ends are tried at these distances around the best ones. */
const FINE = [-0.02, -0.015, -0.01, -0.005, 0.005, 0.01, 0.015, 0.02];

/** The bins that are not empty: the middle of each, and how many values it has. */
interface Bins {
  readonly middles: Float64Array;
  readonly counts: Float64Array;
}

function withoutEmpty({ counts, edges }: BinnedValues): Bins {
  const used = Array.from(counts, (count, bin) => (count === 0 ? -1 : bin)).filter((bin) => bin >= 0);
  return {
    middles: Float64Array.from(used, (bin) => ((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2),
    counts: Float64Array.from(used, (bin) => counts[bin] ?? 0),
  };
}

/** Added to a number and subtracted again, it leaves the nearest whole one, the even one of two: float64 has no bits below. */
const WHOLE = 1.5 * 2 ** 52;

/**
 * Σ count · (x − x̂)² over the middles of the bins, or infinity as soon as the sum is not below `limit`. A range is searched
 * for by some hundred of these sums over thousands of bins, so that x̂ is written out here: it is
 * `dequantize(quantize(x))` of scheme.ts.
 */
function squaredErrorBelow(limit: number, { middles, counts }: Bins, range: Range, scheme: Scheme): number {
  const { scale, zeroPoint } = affineOf(range, scheme);
  const [lowest, highest] = [scheme.lowest - zeroPoint, scheme.highest - zeroPoint];
  let error = 0;
  for (let bin = 0; bin < middles.length; bin++) {
    const x = middles[bin] as number; // both arrays have this length
    const steps = Math.min(Math.max(x / scale, lowest), highest) + WHOLE - WHOLE;
    error += (counts[bin] as number) * (x - steps * scale) ** 2;
    if (error >= limit) return Number.POSITIVE_INFINITY;
  }
  return error;
}

/**
 * The range with the smallest squared error.
 *
 * @param seen the whole range of the values: the result is never wider
 */
export function minimumErrorRange(values: BinnedValues, seen: Range, scheme: Scheme): Range {
  const bins = withoutEmpty(values);
  const infinite = Number.POSITIVE_INFINITY;
  let best = { range: seen, error: squaredErrorBelow(infinite, bins, seen, scheme), low: 1, high: 1 };
  const attempt = (low: number, high: number) => {
    if (low < 0 || high < 0 || low > 1 || high > 1) return;
    const range = { min: Math.min(seen.min, 0) * low, max: Math.max(seen.max, 0) * high };
    const error = squaredErrorBelow(best.error, bins, range, scheme);
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
