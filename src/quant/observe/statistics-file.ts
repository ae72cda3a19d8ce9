/**
 * The result of a calibration as a file. It holds statistics, not ranges, so that any observer can be applied to it later,
 * and parts made on different machines can be merged.
 */

import { z } from 'zod';
import { checkPath, checkValue, listOf, objectWith } from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { readJson, writeAtomic } from '../../base/files.ts';
import { parseWith } from '../../base/schema.ts';
import { bytesOf } from '../../onnx/tensor.ts';
import type { Statistics } from './calibrate.ts';
import { BINS_PER_SIDE, emptyHistogram, MINIMUM_EXPONENT } from './histogram.ts';
import { type ChannelStatistic, emptyStatistic, mergeStatistic, type Statistic } from './statistic.ts';

const FORMAT = 'dino8-statistics-1';
/** The name of the format in files of the former version, which are still read. */
const FORMER_FORMAT = 'dino8-ranges-1';
const LARGEST_FILE = 1 << 29;
const MAXIMUM_CHANNELS = 1 << 16;
/** More machines take part in no calibration. */
export const MAXIMUM_SHARDS = 1_000_000;

/** True if no item occurs twice. */
function isUnique(items: readonly unknown[]): boolean {
  return new Set(items).size === items.length;
}

const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const steps = z.number().int();
/** What is observed are floats of 32 bits. */
const LARGEST_FLOAT = 3.402_823_466_385_289e38;
const float = z.number().min(-LARGEST_FLOAT).max(LARGEST_FLOAT);
/** JSON has no infinity, so the bucket of the longest prompts has no maximum. */
const tokens = z.union([count, z.null()]).transform((value) => value ?? Number.POSITIVE_INFINITY);

const channelSchema = z.strictObject({ min: z.base64(), max: z.base64(), mean: z.base64() });

/** A value of which nothing counted has neither a minimum nor a maximum. */
const isRange = ({ min, max }: { min: number | null; max: number | null }) =>
  min === null || max === null ? min === max : min <= max;
const REVERSED = { error: 'the minimum is above the maximum, or one of them is missing' };

const lengthSchema = z.strictObject({ tokens, images: count, min: float, max: float }).refine(isRange, REVERSED);

const valueSchema = z
  .strictObject({
    images: count,
    excluded: count,
    min: float.nullable(),
    max: float.nullable(),
    movingMin: steps,
    movingMax: steps,
    histogram: z.strictObject({
      exponent: z.number().int().min(MINIMUM_EXPONENT).max(128),
      first: z
        .number()
        .int()
        .min(0)
        .max(2 * BINS_PER_SIDE),
      counts: z.array(count).max(2 * BINS_PER_SIDE),
    }),
    channels: z.union([channelSchema, z.literal('varying'), z.null()]),
    lengths: z
      .array(lengthSchema)
      .max(64)
      .refine((lengths) => isUnique(lengths.map((each) => each.tokens)), { error: 'a length occurs twice' }),
  })
  .refine(isRange, REVERSED);

const shardSchema = z
  .strictObject({ index: z.number().int().min(1), count: z.number().int().min(1).max(MAXIMUM_SHARDS) })
  .refine((shard) => shard.index <= shard.count, { error: 'the part is beyond the number of parts' });

const fileSchema = z
  .strictObject({
    format: z.literal([FORMAT, FORMER_FORMAT], { error: 'it must be a file that dino8 calibrate wrote' }),
    /** Hash of the model that was observed. */
    model: z.string(),
    /** Hash of the images and prompts. */
    plan: z.string(),
    images: z.number().int().min(1),
    /** Which part of the plan, from 1; all of it if null. */
    shard: shardSchema.nullable(),
    /** Images of the part that are done; all of them in a finished file. */
    done: count,
    skipped: z.array(z.string()).refine(isUnique, { error: 'a file occurs twice' }),
    values: z.record(z.string(), valueSchema),
  })
  .refine(({ done, images }) => done <= images, { error: 'more images are done than there are', path: ['done'] });

/** One of several parts of a calibration, which can be done on several machines. */
export interface Shard {
  /** The number of the part, from 1. */
  readonly index: number;
  /** The number of parts. */
  readonly count: number;
}

/** The part of a statistics file that is about the calibration as a whole. */
export interface CalibrationHead {
  /** The hash of the model that was observed. */
  readonly model: string;
  /** The hash of the images and prompts. */
  readonly plan: string;
  /** The number of samples in the whole calibration. */
  readonly images: number;
  /** The part of the calibration that was observed; null for all of it. */
  readonly shard: Shard | null;
  /** The number of samples of the part that are done; all of them in a finished file. */
  readonly done: number;
  /** The files that could not be read. */
  readonly skipped: readonly string[];
}

/** The result of a calibration. */
export interface Calibration extends CalibrationHead {
  /** The statistic of each observed value, by its name. */
  readonly statistics: Statistics;
}

/**
 * Writes a statistics file; it is written whole or not at all.
 * @throws UsageError or InputError if the file cannot be written
 * @example
 * await writeStatistics(await readStatistics('statistics.json'), 'copy.json');
 */
export async function writeStatistics(calibration: Calibration, path: string): Promise<void> {
  checkPath(path);
  checkValue('The calibration', objectWith('what `readStatistics` returned', 'statistics', 'model'), calibration);
  const { statistics, ...head } = calibration;
  const values = Object.fromEntries([...statistics].map(([name, statistic]) => [name, encode(statistic)]));
  await writeAtomic(path, `${JSON.stringify({ format: FORMAT, ...head, values })}\n`);
}

/** Options of `readStatistics`. */
export interface ReadStatisticsOptions {
  /** Called with a sentence if the file has a former format that will not be read for long. */
  readonly onNotice?: ((notice: string) => void) | undefined;
}

/**
 * Reads a statistics file.
 *
 * @throws InputError if the file is not what `writeStatistics` wrote
 * @example
 * const { statistics } = await readStatistics('statistics.json');
 */
export async function readStatistics(path: string, options: ReadStatisticsOptions = {}): Promise<Calibration> {
  return parseStatistics(await readJson(path, LARGEST_FILE), path, options);
}

/** Checks the content of a statistics file; `path` names it in messages. */
export function parseStatistics(value: unknown, path: string, { onNotice }: ReadStatisticsOptions = {}): Calibration {
  const { values, format, ...head } = parseWith(fileSchema, value, path);
  if (format === FORMER_FORMAT)
    onNotice?.(
      `${path} has the former format ${FORMER_FORMAT}, which the next version will not read; calibrate again.`,
    );
  return {
    ...head,
    statistics: new Map(Object.entries(values).map(([name, each]) => [name, decode(each, `${path}: ${name}`)])),
  };
}

/** @throws InputError if `calibration`, from the file `path`, is of another model or of a part of the images only */
export function checkStatistics({ model, shard }: CalibrationHead, expected: string, path: string): void {
  if (model !== expected)
    throw new InputError(`${path} is of another model; calibrate this one, or name the statistics made for it.`);
  if (shard) throw new InputError(`${path} is part ${shard.index} of ${shard.count}; merge the parts first.`);
}

/**
 * Joins all parts of one calibration. The result has the same bits as a calibration in one run.
 * @throws UsageError if parts are missing, doubled, or of another calibration
 * @example
 * const paths = ['part1.json', 'part2.json'];
 * const parts = await Promise.all(paths.map(async (path) => ({ ...(await readStatistics(path)), path })));
 * await writeStatistics(mergeCalibrations(parts), 'statistics.json');
 */
export function mergeCalibrations(parts: readonly (Calibration & { readonly path: string })[]): Calibration {
  checkValue('The parts', listOf('a list of calibrations', objectWith('a calibration', 'statistics', 'path')), parts);
  const [first] = parts;
  if (!first?.shard)
    throw new UsageError(`${first?.path ?? 'Nothing'} is not a part of a calibration; nothing to merge.`);
  const { count: total } = first.shard;
  const statistics = new Map([...first.statistics.keys()].map((name) => [name, emptyStatistic()]));
  const ordered = Array.from({ length: total }, (_, index) => {
    const found = parts.filter(({ shard }) => shard?.index === index + 1);
    const [part] = found;
    if (!part || found.length > 1)
      throw new UsageError(
        `Part ${index + 1} of ${total} is ${part ? 'there twice' : 'missing'}; name each part once.`,
      );
    return part;
  });
  for (const part of parts) {
    const isOther = part.model !== first.model || part.plan !== first.plan || part.shard?.count !== total;
    if (isOther || [...part.statistics.keys()].join() !== [...first.statistics.keys()].join())
      throw new UsageError(`${part.path} is of another calibration than ${first.path}; merge parts of one.`);
  }
  for (const part of ordered)
    for (const [name, statistic] of part.statistics) {
      const into = statistics.get(name);
      if (into) mergeStatistic(into, statistic);
    }
  const { model, plan, images } = first;
  const skipped = ordered.flatMap((part) => part.skipped).toSorted();
  return {
    model,
    plan,
    images,
    shard: null,
    done: ordered.reduce((sum, { done }) => sum + done, 0),
    skipped,
    statistics,
  };
}

function encode(statistic: Statistic): z.input<typeof valueSchema> {
  const { images, excluded, min, max, movingMin, movingMax, histogram, channels, lengths } = statistic;
  const first = Math.max(
    histogram.counts.findIndex((number) => number > 0),
    0,
  );
  const last = histogram.counts.findLastIndex((number) => number > 0);
  return {
    images,
    excluded,
    min: Number.isFinite(min) ? min : null,
    max: Number.isFinite(max) ? max : null,
    movingMin,
    movingMax,
    histogram: { exponent: histogram.exponent, first, counts: [...histogram.counts.subarray(first, last + 1)] },
    channels:
      channels === undefined || channels === 'varying'
        ? (channels ?? null)
        : { min: toBase64(channels.min), max: toBase64(channels.max), mean: toBase64(channels.mean) },
    lengths: lengths.map((length) => ({ ...length, tokens: Number.isFinite(length.tokens) ? length.tokens : null })),
  };
}

function decode(value: z.output<typeof valueSchema>, source: string): Statistic {
  const histogram = emptyHistogram();
  histogram.exponent = value.histogram.exponent;
  if (value.histogram.first + value.histogram.counts.length > histogram.counts.length)
    throw new InputError(`${source} has a histogram with too many bins; the file is damaged.`);
  histogram.counts.set(value.histogram.counts, value.histogram.first);
  const channels = value.channels ?? undefined;
  return {
    ...value,
    min: value.min ?? Number.POSITIVE_INFINITY,
    max: value.max ?? Number.NEGATIVE_INFINITY,
    histogram,
    channels: channels === undefined || channels === 'varying' ? channels : decodeChannels(channels, source),
  };
}

const toBase64 = (data: Float32Array | Float64Array) => Buffer.from(bytesOf(data)).toString('base64');

/** A channel of which nothing counted has infinite extremes, the wrong way round. */
const isChannelRange = (min: number, max = Number.NaN): boolean =>
  (min <= max && Number.isFinite(min) && Number.isFinite(max)) ||
  (min === Number.POSITIVE_INFINITY && max === Number.NEGATIVE_INFINITY);

function decodeChannels({ min, max, mean }: z.output<typeof channelSchema>, source: string): ChannelStatistic {
  const bytes = (text: string) => Uint8Array.from(Buffer.from(text, 'base64'));
  const [low, high, middle] = [bytes(min), bytes(max), bytes(mean)] as const;
  const width = low.length / Float32Array.BYTES_PER_ELEMENT;
  const isSound = Number.isInteger(width) && width <= MAXIMUM_CHANNELS;
  if (!isSound || high.length !== low.length || middle.length !== 2 * low.length)
    throw new InputError(`${source} has channels that do not fit together; the file is damaged.`);
  const channels = {
    min: new Float32Array(low.buffer),
    max: new Float32Array(high.buffer),
    mean: new Float64Array(middle.buffer),
  };
  if (
    !channels.mean.every(Number.isFinite) ||
    channels.min.some((value, at) => !isChannelRange(value, channels.max[at]))
  )
    throw new InputError(
      `${source} has a channel whose minimum is above its maximum, or no number; the file is damaged.`,
    );
  return channels;
}
