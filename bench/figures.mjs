// How the tables of benchmarks write average precision: in points (hundredths), with 95 % confidence intervals.

export const points = (value) => (100 * value).toFixed(2);
/** A change, with its sign. */
export const signed = (value) => `${value < 0 ? '−' : '+'}${points(Math.abs(value))}`;
/** An estimate with its interval. */
export const estimate = ({ value, low, high }, format) => `${format(value)} (${format(low)} to ${format(high)})`;

/** A change that its interval does not tell from 0 is called so. */
export function verdict({ low, high }) {
  if (low <= 0 && high >= 0) return 'not distinguishable from chance';
  return high < 0 ? 'worse' : 'better';
}
