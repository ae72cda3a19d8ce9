/** Observers: each makes a range of a statistic in its own way. An observer is a plain value. */

import { z } from 'zod';
import { checkFields } from '../../base/check-options.ts';
import type { Range, Scheme } from '../scheme.ts';
import { entropyMaximum, entropyRange } from './entropy.ts';
import { type BinnedValues, binned, binnedMagnitudes } from './histogram.ts';
import { minimumErrorRange } from './mean-squared-error.ts';
import { percentileMaximum, percentileRange, topKRange } from './percentile.ts';
import { fromSteps, type Statistic } from './statistic.ts';

const DEFAULT_PERCENTILE = 99.99;
const DEFAULT_COUNT = 100;

const named = z.enum(['min-max', 'moving-average', 'percentile', 'entropy', 'signed-entropy', 'mse', 'top-k']);

/**
 * How a recipe names an observer:
 * - `min-max`: from the smallest to the largest value
 * - `moving-average`: the moving average of each sample's extremes
 * - `percentile`: the range that holds so many percent of the values
 * - `entropy`: the smallest Kullback-Leibler divergence of the magnitudes; `signed-entropy`: as onnxruntime.quantization defines it
 * - `mse`: the smallest mean squared error
 * - `top-k`: all values but the `count` most extreme ones on each side
 */
export const observerSchema = z.union([
  named.transform((kind): Observer => ({ kind, percentile: DEFAULT_PERCENTILE, count: DEFAULT_COUNT })),
  z.strictObject({ percentile: z.number().gt(50).max(100) }).transform(
    ({ percentile }): Observer => ({
      kind: 'percentile',
      percentile,
      count: DEFAULT_COUNT,
    }),
  ),
  z.strictObject({ 'top-k': z.number().int().min(1).max(1e9) }).transform(
    ({ 'top-k': count }): Observer => ({
      kind: 'top-k',
      percentile: DEFAULT_PERCENTILE,
      count,
    }),
  ),
]);

/** An observer with its settings. */
export interface Observer {
  /** The name of the observer. */
  readonly kind: ObserverKind;
  /** The percent of values that the range of `percentile` holds; other observers ignore it. */
  readonly percentile: number;
  /** The number of values that `top-k` leaves out on each side; other observers ignore it. */
  readonly count: number;
}
/** The name of an observer, as recipes write it. */
export type ObserverKind = 'min-max' | 'moving-average' | 'percentile' | 'entropy' | 'signed-entropy' | 'mse' | 'top-k';

/** The observer of that kind with its default settings. */
export const observerOf = (kind: ObserverKind): Observer => ({
  kind,
  percentile: DEFAULT_PERCENTILE,
  count: DEFAULT_COUNT,
});

/** The observer of rules that name none: it leaves the highest accuracy on the bundled model (docs/accuracy.md). */
export const DEFAULT_OBSERVER = observerOf('mse');

/**
 * Returns the range that an observer chooses for a value from its statistic. It is never wider than the observed values.
 * @param scheme the integers that the range is divided into
 * @example
 * const statistic = statistics.get('features');
 * if (statistic) estimateRange(statistic, DEFAULT_OBSERVER, { lowest: 0, highest: 255, symmetric: false });
 */
export function estimateRange(statistic: Statistic, observer: Observer, scheme: Scheme): Range {
  checkFields('The statistic must be one of a calibration', statistic, 'min', 'max', 'histogram');
  const seen = { min: statistic.min, max: statistic.max };
  const within = ({ min, max }: Range): Range => ({ min: Math.max(min, seen.min), max: Math.min(max, seen.max) });
  const magnitude = (limit: number) => within({ min: -limit, max: limit });
  const bins = () => binned(statistic.histogram);
  switch (observer.kind) {
    case 'min-max':
      return seen;
    case 'moving-average':
      return within({ min: fromSteps(statistic.movingMin), max: fromSteps(statistic.movingMax) });
    case 'percentile':
      return scheme.symmetric
        ? magnitude(percentileMaximum(binnedMagnitudes(statistic.histogram), observer.percentile))
        : within(percentileRange(bins(), observer.percentile));
    case 'entropy':
      return magnitude(entropyMaximum(binnedMagnitudes(statistic.histogram)));
    case 'signed-entropy':
      return within(entropyRange(centred(bins())));
    case 'mse':
      return minimumErrorRange(bins(), seen, scheme);
    case 'top-k':
      return within(topKRange(bins(), observer.count));
  }
}

/** The same bins with empty bins added on one side, so that 0 is in the middle. */
function centred({ counts, edges }: BinnedValues): BinnedValues {
  const width = (edges[1] ?? 1) - (edges[0] ?? 0);
  const largest = Math.max(-(edges[0] ?? 0), edges[counts.length] ?? 0);
  const reach = Math.max(Math.round(largest / width), 1);
  const first = Math.round((edges[0] ?? 0) / width) + reach;
  const wide = new Float64Array(2 * reach + 1);
  wide.set(Float64Array.from(counts), first);
  return { counts: wide, edges: Float64Array.from({ length: wide.length + 1 }, (_, bin) => (bin - reach) * width) };
}
