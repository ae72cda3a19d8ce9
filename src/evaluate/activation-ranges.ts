/**
 * How well the ranges that calibration chose fit the values of a model: for each value the histogram, the range, and the ratio of
 * signal to the noise that 8 bits in this range add to it. The ratio follows from the histogram alone, so that nothing is run.
 */

import type { Statistics } from '../quant/observe/calibrate.ts';
import { binned } from '../quant/observe/histogram.ts';
import type { QuantizationPlan } from '../quant/plan.ts';
import type { Range, Scheme } from '../quant/scheme.ts';

/** The bins of a histogram that is shown. */
const SHOWN_BINS = 64;

/** A value with the range in which it becomes 8-bit integers. */
export interface ActivationRange {
  /** The name of the value. */
  readonly name: string;
  /** The lower end of the range. */
  readonly low: number;
  /** The upper end of the range. */
  readonly high: number;
  /** The minimum that calibration saw. */
  readonly minimum: number;
  /** The maximum that calibration saw. */
  readonly maximum: number;
  /** The ratio of signal to quantization noise in decibels, by the histogram. Lower is worse. */
  readonly decibels: number;
  /** The histogram, from the lowest bin to the highest. */
  readonly bins: readonly {
    /** The lower end of the bin. */
    readonly low: number;
    /** The upper end of the bin. */
    readonly high: number;
    /** The number of elements in it. */
    readonly count: number;
  }[];
}

/** The values of a variant that fit their range worst. */
export interface ActivationRanges {
  /** The name of the variant. */
  readonly variant: string;
  /** The number of values that have a range. */
  readonly total: number;
  /** Those with the lowest ratio of signal to noise, the worst first. */
  readonly values: readonly ActivationRange[];
}

/**
 * Finds the values of a plan with the lowest ratio of signal to quantization noise.
 * @param plan a plan whose ranges are resolved
 * @param count the number of values to return
 */
export function worstRanges(
  plan: QuantizationPlan,
  statistics: Statistics,
  count: number,
): Omit<ActivationRanges, 'variant'> {
  const ranges = new Map<string, Range>();
  for (const { activations } of plan.entries)
    for (const { source, range } of activations) if (range) ranges.set(source, range);
  const values = [...ranges].flatMap(([name, range]): ActivationRange[] => {
    const statistic = statistics.get(name);
    if (!statistic || !(statistic.min <= statistic.max)) return [];
    const { counts, edges } = binned(statistic.histogram);
    const decibels = signalToNoise(counts, edges, range, plan.target.activations);
    if (!Number.isFinite(decibels)) return [];
    const { min, max } = statistic;
    return [
      { name, low: range.min, high: range.max, minimum: min, maximum: max, decibels, bins: joined(counts, edges) },
    ];
  });
  return { total: values.length, values: values.toSorted((a, b) => a.decibels - b.decibels).slice(0, count) };
}

/** 10 log₁₀ of Σ x² over the squared error: a twelfth of a squared step inside of the range, the distance to its end outside. */
function signalToNoise(
  counts: ArrayLike<number>,
  edges: ArrayLike<number>,
  range: Range,
  { lowest, highest }: Scheme,
): number {
  // The range of integers always holds 0.
  const [low, high] = [Math.min(range.min, 0), Math.max(range.max, 0)];
  const rounding = ((high - low) / (highest - lowest)) ** 2 / 12;
  let [signal, noise] = [0, 0];
  for (let bin = 0; bin < counts.length; bin++) {
    const value = ((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2;
    const beyond = Math.max(low - value, value - high, 0);
    signal += (counts[bin] ?? 0) * value ** 2;
    noise += (counts[bin] ?? 0) * (rounding + beyond ** 2);
  }
  return 10 * Math.log10(signal / noise);
}

/** Neighbouring bins as one, so that at most `SHOWN_BINS` are left. */
function joined(counts: ArrayLike<number>, edges: ArrayLike<number>): ActivationRange['bins'] {
  const size = Math.ceil(counts.length / SHOWN_BINS);
  return Array.from({ length: Math.ceil(counts.length / size) }, (_, index) => {
    const [first, end] = [index * size, Math.min((index + 1) * size, counts.length)];
    let count = 0;
    for (let bin = first; bin < end; bin++) count += counts[bin] ?? 0;
    return { low: edges[first] ?? 0, high: edges[end] ?? 0, count };
  });
}
