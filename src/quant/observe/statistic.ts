/**
 * The statistic of a value over any number of samples. Its size is constant, and it is the same to the bit in whatever order
 * samples, or the statistics of shards, are added: counts are whole numbers, and averages are sums of fixed-point numbers.
 */
import { addToHistogram, binOf, emptyHistogram, type Histogram } from './histogram.ts';

/** Averages are summed in steps of 2^-24, as whole numbers; a double holds sums up to 2^53 of them exactly. */
const STEPS = 2 ** 24;
/** One sample adds at most this many steps, so that a million samples fit. */
const MAXIMUM_STEPS = 2 ** 33;

/** The weight of the past in a moving average (PyTorch's averaging constant is 1 minus this). */
const MEMORY = 0.9;

/** The extremes at prompts of similar length. */
export interface LengthStatistic {
  /** The maximum number of tokens of a prompt in this bucket. */
  readonly tokens: number;
  /** The number of samples in the bucket. */
  images: number;
  /** The minimum over the samples of the bucket. */
  min: number;
  /** The maximum over the samples of the bucket. */
  max: number;
}

/** Extremes and means of each channel. */
export interface ChannelStatistic {
  /** The minimum of each channel [channels]. */
  readonly min: Float32Array;
  /** The maximum of each channel [channels]. */
  readonly max: Float32Array;
  /** The sum of the samples' means, in steps. */
  readonly mean: Float64Array;
}

/** The statistic of one value. */
export interface Statistic {
  /** The number of samples. */
  images: number;
  /** The number of elements that did not count: not finite, masked, or padding. */
  excluded: number;
  /** The minimum over all samples. */
  min: number;
  /** The maximum over all samples. */
  max: number;
  /** Σ of weight · extreme over the samples, in steps: see `movingWeight`. */
  movingMin: number;
  /** As `movingMin`, of the maxima. */
  movingMax: number;
  /** The histogram of all elements that counted. */
  readonly histogram: Histogram;
  /** `varying` if the last dimension is not one of channels: its size changes from sample to sample. */
  channels: ChannelStatistic | 'varying' | undefined;
  /** By the length of the prompt, shortest first; empty where the model has no text. */
  readonly lengths: LengthStatistic[];
}

/** The observation of a value in one sample. */
export interface Observation {
  /** The minimum of the value in the sample. */
  readonly min: number;
  /** The maximum of the value in the sample. */
  readonly max: number;
  /** The exponent of the bins: see `Histogram`. */
  readonly exponent: number;
  /** COUNTERS numbers: the bins, then the number of elements that did not count. */
  readonly counts: Int32Array;
  /** The minimum of each channel, then the maxima, then the means. */
  readonly channels: Float32Array;
}

/** The position of a sample in the calibration, on which a moving average depends. */
export interface Moment {
  /** Its place in the order of the whole calibration, and the number of samples. */
  readonly place: number;
  readonly total: number;
  /** The number of tokens of its prompt; undefined where the model has no text. */
  readonly tokens: number | undefined;
}

/** The maximum lengths of the buckets: prompts between two of them share statistics. */
const LENGTH_BUCKETS = [16, 32, 64, 96, 128, 192, 256, Number.POSITIVE_INFINITY] as const;

/** A statistic of no samples. */
export function emptyStatistic(): Statistic {
  return {
    images: 0,
    excluded: 0,
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    movingMin: 0,
    movingMax: 0,
    histogram: emptyHistogram(),
    channels: undefined,
    lengths: [],
  };
}

/**
 * The weight of the sample at `place` of `total` in the moving average m ← 0.9 m + 0.1 x that starts with the first sample.
 * Written as a sum, the average does not need the samples in their order.
 */
function movingWeight(place: number, total: number): number {
  return place === 0 ? MEMORY ** (total - 1) : (1 - MEMORY) * MEMORY ** (total - 1 - place);
}

/** A number as a sum of steps, of which averages are made: see `Statistic.movingMin`. */
export const toSteps = (value: number) => Math.min(Math.max(Math.round(value * STEPS), -MAXIMUM_STEPS), MAXIMUM_STEPS);
/** The number that a sum of steps stands for. */
export const fromSteps = (steps: number): number => steps / STEPS;

/** Adds one sample to a statistic. */
export function addObservation(statistic: Statistic, seen: Observation, moment: Moment): void {
  statistic.images++;
  statistic.excluded += seen.counts[seen.counts.length - 1] ?? 0;
  const isAny = seen.min <= seen.max;
  if (!isAny) return;
  statistic.min = Math.min(statistic.min, seen.min);
  statistic.max = Math.max(statistic.max, seen.max);
  const weight = movingWeight(moment.place, moment.total);
  statistic.movingMin += toSteps(weight * seen.min);
  statistic.movingMax += toSteps(weight * seen.max);
  const [first, last] = [binOf(seen.min, seen.exponent), binOf(seen.max, seen.exponent)];
  addToHistogram(statistic.histogram, seen.exponent, seen.counts, first, last);
  if (moment.tokens !== undefined) {
    const { tokens: length } = moment;
    const tokens = LENGTH_BUCKETS.find((longest) => length <= longest) ?? Number.POSITIVE_INFINITY;
    addLength(statistic, { tokens, images: 1, min: seen.min, max: seen.max });
  }
  addSeenChannels(statistic, seen.channels);
}

/** Adds the statistic of other samples to `into`. */
export function mergeStatistic(into: Statistic, other: Statistic): void {
  into.images += other.images;
  into.excluded += other.excluded;
  into.min = Math.min(into.min, other.min);
  into.max = Math.max(into.max, other.max);
  into.movingMin += other.movingMin;
  into.movingMax += other.movingMax;
  addToHistogram(into.histogram, other.histogram.exponent, other.histogram.counts);
  for (const length of other.lengths) addLength(into, length);
  addChannels(into, other.channels);
}

/** @param seen the minimum of each channel, then the maxima, then the means */
function addSeenChannels(statistic: Statistic, seen: Float32Array): void {
  const width = seen.length / 3;
  const fresh = () => ({
    min: new Float32Array(width).fill(Number.POSITIVE_INFINITY),
    max: new Float32Array(width).fill(Number.NEGATIVE_INFINITY),
    mean: new Float64Array(width),
  });
  statistic.channels ??= fresh();
  const known = statistic.channels;
  if (known === 'varying') return;
  if (known.min.length !== width) {
    statistic.channels = 'varying';
    return;
  }
  for (let channel = 0; channel < width; channel++) {
    known.min[channel] = Math.min(known.min[channel] ?? 0, seen[channel] ?? 0);
    known.max[channel] = Math.max(known.max[channel] ?? 0, seen[width + channel] ?? 0);
    known.mean[channel] = (known.mean[channel] ?? 0) + toSteps(seen[2 * width + channel] ?? 0);
  }
}

function addChannels(statistic: Statistic, other: Statistic['channels']): void {
  const known = statistic.channels;
  if (other === undefined || known === 'varying') return;
  if (known === undefined && other !== 'varying') {
    statistic.channels = { min: other.min.slice(), max: other.max.slice(), mean: other.mean.slice() };
    return;
  }
  if (known === undefined || other === 'varying' || other.min.length !== known.min.length) {
    statistic.channels = 'varying';
    return;
  }
  for (let channel = 0; channel < known.min.length; channel++) {
    known.min[channel] = Math.min(known.min[channel] ?? 0, other.min[channel] ?? 0);
    known.max[channel] = Math.max(known.max[channel] ?? 0, other.max[channel] ?? 0);
    known.mean[channel] = (known.mean[channel] ?? 0) + (other.mean[channel] ?? 0);
  }
}

function addLength({ lengths }: Statistic, other: LengthStatistic): void {
  const known = lengths.find(({ tokens }) => tokens === other.tokens);
  if (known) {
    known.images += other.images;
    known.min = Math.min(known.min, other.min);
    known.max = Math.max(known.max, other.max);
    return;
  }
  lengths.push({ ...other });
  lengths.sort((a, b) => a.tokens - b.tokens);
}
