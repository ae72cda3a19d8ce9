/**
 * A histogram that grows. The width of its bins is a power of two, and bins start at 0 on both sides, so that doubling the
 * width joins pairs of bins and loses nothing else: the sum of histograms is the same to the bit in any order.
 */

/** Bins on each side of 0. */
export const BINS_PER_SIDE = 2048;

/** The exponent of the narrowest bins; narrower ones would have widths that are not normal float32 numbers. */
export const MINIMUM_EXPONENT = -111;

/** Counts of values by bin. */
export interface Histogram {
  /** The width of a bin is 2^exponent. */
  exponent: number;
  /** Bin i begins at (i − BINS_PER_SIDE) · 2^exponent and ends before the next one. */
  counts: Float64Array;
}

/** A histogram without values, with the narrowest bins. */
export function emptyHistogram(): Histogram {
  return { exponent: MINIMUM_EXPONENT, counts: new Float64Array(2 * BINS_PER_SIDE) };
}

/** Adds the bins `first` to `last` of another histogram, whose bins have the width 2^exponent. */
export function addToHistogram(
  histogram: Histogram,
  exponent: number,
  counts: Float64Array | Int32Array,
  first = 0,
  last = 2 * BINS_PER_SIDE - 1,
): void {
  if (exponent > histogram.exponent) widen(histogram, exponent);
  add(counts, histogram.counts, histogram.exponent - exponent, first, last);
}

function widen(histogram: Histogram, exponent: number): void {
  const wider = new Float64Array(histogram.counts.length);
  add(histogram.counts, wider, exponent - histogram.exponent, 0, wider.length - 1);
  histogram.counts = wider;
  histogram.exponent = exponent;
}

/** Adds bins to others that are 2^steps times as wide: 2^steps adjacent bins on one side of 0 become one. */
function add(from: Float64Array | Int32Array, to: Float64Array, steps: number, first: number, last: number): void {
  const shift = Math.min(steps, 31); // beyond, each side is one bin anyway
  for (let bin = first; bin <= last; bin++) {
    const target = ((bin - BINS_PER_SIDE) >> shift) + BINS_PER_SIDE;
    to[target] = (to[target] ?? 0) + (from[bin] ?? 0);
  }
}

/** The index of the bin of a value in a histogram whose bins have the width 2^exponent. */
export function binOf(value: number, exponent: number): number {
  return Math.floor(value / 2 ** exponent) + BINS_PER_SIDE;
}

/** Any histogram, as observers see it: bin i begins at edges[i] and ends at edges[i + 1]. */
export interface BinnedValues {
  readonly counts: ArrayLike<number>;
  readonly edges: ArrayLike<number>;
}

/** The bins from the first to the last that is not empty. */
export function binned({ exponent, counts }: Histogram): BinnedValues {
  const first = Math.max(
    counts.findIndex((count) => count > 0),
    0,
  );
  const last = counts.findLastIndex((count) => count > 0);
  const used = counts.subarray(first, Math.max(last + 1, first + 1));
  const width = 2 ** exponent;
  const edges = Float64Array.from({ length: used.length + 1 }, (_, index) => (first + index - BINS_PER_SIDE) * width);
  return { counts: used, edges };
}

/** The histogram of |x|: bin i begins at i · width. A value on a negative edge is counted one bin too far from 0. */
export function binnedMagnitudes({ exponent, counts }: Histogram): BinnedValues {
  const folded = Float64Array.from(
    { length: BINS_PER_SIDE },
    (_, bin) => (counts[BINS_PER_SIDE + bin] ?? 0) + (counts[BINS_PER_SIDE - 1 - bin] ?? 0),
  );
  const used = folded.subarray(0, folded.findLastIndex((count) => count > 0) + 1 || 1);
  const width = 2 ** exponent;
  return { counts: used, edges: Float64Array.from({ length: used.length + 1 }, (_, bin) => bin * width) };
}
