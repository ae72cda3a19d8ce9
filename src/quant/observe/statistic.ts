/**
 * What is known of a value after any number of images: of constant size, and the same to the bit whatever the order in
 * which images, or the statistics of shards, are added. Counts are whole numbers; averages are sums of fixed-point numbers.
 */
import { addToHistogram, binOf, emptyHistogram, type Histogram } from './histogram.ts';

/** Averages are summed in steps of 2^-24: whole numbers, of which a double adds 2^53 without rounding. */
const STEPS = 2 ** 24;
/** One image adds at most this many steps, so that a million of them fit. */
const MOST_STEPS = 2 ** 33;

/** How much the past counts in a moving average (PyTorch's averaging constant is 1 minus this). */
const MEMORY = 0.9;

/** The extremes seen at prompts of similar length. */
export interface LengthStatistic {
  /** The longest prompt of the bucket may have this many tokens. */
  readonly tokens: number;
  images: number;
  min: number;
  max: number;
}

export interface ChannelStatistic {
  readonly min: Float32Array;
  readonly max: Float32Array;
  /** The sum over images of each image's mean, in steps. */
  readonly mean: Float64Array;
}

export interface Statistic {
  images: number;
  /** Elements that did not count: not finite, masked, or padding. */
  excluded: number;
  min: number;
  max: number;
  /** Σ of weight · extreme over the images, in steps: see `movingWeight`. */
  movingMin: number;
  movingMax: number;
  readonly histogram: Histogram;
  /** `varying` where the last axis is not one of channels: its length changes from image to image. */
  channels: ChannelStatistic | 'varying' | undefined;
  /** By prompt length, shortest first. */
  readonly lengths: LengthStatistic[];
}

/** What one image adds. */
export interface Observation {
  readonly min: number;
  readonly max: number;
  readonly exponent: number;
  /** COUNTERS numbers: bins, then what did not count. */
  readonly counts: Int32Array;
  /** minimum, maximum and mean of each channel, one after the other. */
  readonly channels: Float32Array;
}

/** When an image was seen, which is what a moving average depends on. */
export interface Moment {
  /** Its place in the order of the whole calibration, and how many there are. */
  readonly place: number;
  readonly total: number;
  /** The number of tokens of its prompt; undefined where the model has no text. */
  readonly tokens: number | undefined;
}

/** Prompts up to these lengths are seen together. */
export const LENGTH_BUCKETS = [16, 32, 64, 96, 128, 192, 256, Number.POSITIVE_INFINITY] as const;

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
 * What the image at `place` of `total` weighs in the moving average m ← 0.9 m + 0.1 x that starts with the first image.
 * Written out as a sum, the average does not need the images in their order.
 */
export function movingWeight(place: number, total: number): number {
  return place === 0 ? MEMORY ** (total - 1) : (1 - MEMORY) * MEMORY ** (total - 1 - place);
}

const inSteps = (value: number) => Math.min(Math.max(Math.round(value * STEPS), -MOST_STEPS), MOST_STEPS);
export const fromSteps = (steps: number): number => steps / STEPS;

export function addObservation(statistic: Statistic, seen: Observation, moment: Moment): void {
  statistic.images++;
  statistic.excluded += seen.counts[seen.counts.length - 1] ?? 0;
  const isAny = seen.min <= seen.max;
  if (!isAny) return;
  statistic.min = Math.min(statistic.min, seen.min);
  statistic.max = Math.max(statistic.max, seen.max);
  const weight = movingWeight(moment.place, moment.total);
  statistic.movingMin += inSteps(weight * seen.min);
  statistic.movingMax += inSteps(weight * seen.max);
  const [first, last] = [binOf(seen.min, seen.exponent), binOf(seen.max, seen.exponent)];
  addToHistogram(statistic.histogram, seen.exponent, seen.counts, first, last);
  if (moment.tokens !== undefined) {
    const { tokens: length } = moment;
    const tokens = LENGTH_BUCKETS.find((longest) => length <= longest) ?? Number.POSITIVE_INFINITY;
    addLength(statistic, { tokens, images: 1, min: seen.min, max: seen.max });
  }
  addSeenChannels(statistic, seen.channels);
}

/** Adds what other images showed. */
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

/** minimum, maximum and mean of each channel, one after the other. */
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
    known.mean[channel] = (known.mean[channel] ?? 0) + inSteps(seen[2 * width + channel] ?? 0);
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
