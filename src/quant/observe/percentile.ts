/** Percentiles of a histogram, defined as in onnxruntime.quantization's PercentileCalibrater: the lower edge of the bin. */
import type { Range } from '../scheme.ts';
import type { BinnedValues } from './histogram.ts';

/** The range of the middle `percentile` % of the values; half of the rest is on each side. */
export function percentileRange({ counts, edges }: BinnedValues, percentile: number): Range {
  const cut = (100 - percentile) / 200;
  const cumulative = cumulativeShares(counts);
  const edgeAt = (fraction: number) => edges[firstReaching(cumulative, fraction)] ?? 0;
  return { min: edgeAt(cut), max: edgeAt(1 - cut) };
}

/** The magnitude below which `percentile` % of the magnitudes are, from a histogram of |x|. */
export function percentileMaximum({ counts, edges }: BinnedValues, percentile: number): number {
  return edges[firstReaching(cumulativeShares(counts), percentile / 100)] ?? 0;
}

/** The range that leaves out at most `count` values on each side, to the precision of a bin. */
export function topKRange({ counts, edges }: BinnedValues, count: number): Range {
  let [first, last] = [0, counts.length - 1];
  for (let left = count; first < last && (counts[first] ?? 0) <= left; first++) left -= counts[first] ?? 0;
  for (let left = count; last > first && (counts[last] ?? 0) <= left; last--) left -= counts[last] ?? 0;
  return { min: edges[first] ?? 0, max: edges[last + 1] ?? 0 };
}

function cumulativeShares(counts: ArrayLike<number>): Float64Array {
  const total = Array.prototype.reduce.call(counts, (sum, count) => Number(sum) + Number(count), 0);
  let sum = 0;
  return Float64Array.from(counts, (count) => {
    sum += count / Number(total);
    return sum;
  });
}

function firstReaching(cumulative: Float64Array, fraction: number): number {
  const found = cumulative.findIndex((value) => value >= fraction);
  return found < 0 ? cumulative.length : found;
}
