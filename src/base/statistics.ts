/** Order statistics of a few numbers, such as the seconds of repeated runs, and values with their intervals. */

/**
 * The `fraction`-quantile of values, interpolated linearly between neighbours (type 7 of Hyndman and Fan 1996,
 * https://doi.org/10.2307/2684934, the default of R and NumPy).
 * @param fraction from 0, the minimum, to 1, the maximum
 * @returns NaN if there are no values
 */
export function quantile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * fraction;
  const below = sorted[Math.floor(position)] ?? Number.NaN;
  const above = sorted[Math.ceil(position)] ?? Number.NaN;
  return below + (above - below) * (position - Math.floor(position));
}

/** The median of values; the mean of the middle two if their number is even. @returns NaN if there are no values */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The middle of some measurements, and the range that they are in. */
export interface Spread {
  /** The median. */
  readonly median: number;
  /** The lowest. */
  readonly lowest: number;
  /** The highest. */
  readonly highest: number;
}

/** The median and the range of measurements. */
export const spreadOf = (values: readonly number[]): Spread => ({
  median: median(values),
  lowest: Math.min(...values),
  highest: Math.max(...values),
});

/** A value with the ends of its 95 % confidence interval. */
export interface Estimate {
  /** The value that was measured. */
  readonly value: number;
  /** The lower end. */
  readonly low: number;
  /** The upper end. */
  readonly high: number;
}

/** True if a difference is not distinguishable from chance: its interval contains 0. */
export const isChance = ({ low, high }: Pick<Estimate, 'low' | 'high'>): boolean => low <= 0 && high >= 0;
