/**
 * Confidence intervals of COCO's figures, and of their difference between detectors, by the bootstrap over images (Efron and
 * Tibshirani, An Introduction to the Bootstrap, 1993, chapters 13 and 16): images are drawn with replacement, again and again,
 * and the figures of every such sample show how far chance in the choice of images moves them. Detectors are compared on the
 * same draws, so that what is hard in an image is hard for both and cancels out.
 */

import { setImmediate } from 'node:timers/promises';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import {
  abortSignal,
  callback,
  checkOptions,
  checkValue,
  listOf,
  type OptionSchemas,
  objectWith,
  optional,
  wholeNumber,
} from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type Estimate, quantile } from '../base/statistics.ts';
import { AREA_NAMES, type Area } from './coco-settings.ts';
import type { Matches } from './matches.ts';
import { type CocoFigures, type CocoResult, createScorer, FIGURES } from './score-matches.ts';

/** The probability with which an interval holds what it is an interval of. */
const CONFIDENCE = 0.95;
/** The number of samples, from which the ends of an interval vary by about a thirtieth of its width. */
const RESAMPLES = 2000;
/** With fewer images than this that show an object, an interval would be narrower than chance is (`bench/coverage.mjs`). */
export const MIN_IMAGES = 10;
/** The time after which the loop lets other work run. */
const SLICE_MS = 50;

/** Options of `bootstrapScores`. */
export interface BootstrapOptions extends WorkOptions {
  /** The number of samples of the images. Default: 2,000. */
  readonly resamples?: number | undefined;
  /** The seed of the samples. Default: 0. */
  readonly seed?: number | undefined;
}

/** A value of each figure; those are missing for which there is nothing to tell from. */
export type FigureMap<T> = Partial<Readonly<Record<keyof CocoFigures, T>>>;

/** The figures with their intervals. */
export interface ScoreEstimates {
  /** Each figure, or its change. It is missing if it has no ground truth, or only in fewer images than 10. */
  readonly figures: FigureMap<Estimate>;
  /** The AP of each category by its id, or its change. */
  readonly averagePrecisionOf: ReadonlyMap<number, Estimate>;
}

/** The figures of one detector with their intervals. */
export interface ScoreIntervals extends ScoreEstimates {
  /** The difference from the first detector; undefined for the first. */
  readonly change?: ScoreEstimates | undefined;
}

/** Draws as many images as there are, with replacement, and counts how often each was drawn. */
function imageSampler(images: number, seed: number): () => Uint32Array {
  const random = xoroshiro128plus(seed);
  return () => {
    const draws = new Uint32Array(images);
    for (let index = 0; index < images; index++) {
      const image = uniformInt(random, 0, images - 1);
      draws[image] = (draws[image] ?? 0) + 1;
    }
    return draws;
  };
}

const bootstrapScoresSchemas: OptionSchemas<BootstrapOptions> = {
  resamples: optional(wholeNumber(1, 1_000_000)),
  seed: optional(wholeNumber(0)),
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

const detectorsSchema = listOf(
  'a list of matches',
  objectWith('what `matchDetections` returned', 'images', 'categories'),
);

/**
 * Computes 95 % intervals of the figures of detectors on the same images, and of the difference of each from the first one.
 * Nothing is matched again: 2,000 samples of 500 images take about a second for each detector.
 * @param detectors the matches of each; the first is the reference
 * @throws UsageError if they are of different images or categories
 * @example
 * const [float, quantized] = await bootstrapScores([floatMatches, quantizedMatches]);
 * console.log(quantized?.change?.figures.AP); // { value: -0.0012, low: -0.0031, high: 0.0008 }
 */
export async function bootstrapScores(
  detectors: readonly Matches[],
  options: BootstrapOptions = {},
): Promise<readonly ScoreIntervals[]> {
  checkValue('The detectors', detectorsSchema, detectors);
  checkOptions('bootstrapScores', bootstrapScoresSchemas, options);
  const [reference] = detectors;
  if (!reference) return [];
  const drawn = detectors.map((): Float64Array[] => []);
  const actual = await drawScores(detectors, AREA_NAMES, options, (results) => {
    for (const [index, result] of results.entries()) drawn[index]?.push(vectorOf(result));
  });
  const hasEnough = columnsWithEnoughImages(reference);
  const estimate = (values: readonly Float64Array[], vector: Float64Array) =>
    named(reference, (column) => (hasEnough[column] ? estimateOf(values, vector, column) : undefined));
  const vectors = actual.map(vectorOf);
  return drawn.map((samples, index) => {
    const intervals = estimate(samples, vectors[index] ?? NOTHING);
    if (index === 0) return intervals;
    const differences = samples.map((vector, at) => subtract(vector, drawn[0]?.[at] ?? NOTHING));
    return { ...intervals, change: estimate(differences, subtract(vectors[index] ?? NOTHING, vectors[0] ?? NOTHING)) };
  });
}

/**
 * Computes 95 % intervals of numbers that follow from the scores of several detectors on the same images, such as the mean over
 * some categories or the sum of two differences.
 *
 * @param compute the numbers of one sample, from the scores of each detector for objects of all sizes and the number of draws of each image; NaN where
 * there is nothing to tell from
 * @throws UsageError if the detectors were scored on different images or categories
 */
export async function bootstrapNumbers(
  detectors: readonly Matches[],
  compute: (results: readonly CocoResult[], draws: Uint32Array) => readonly number[],
  options: BootstrapOptions = {},
): Promise<readonly Estimate[]> {
  const drawn: Float64Array[] = [];
  const actual = await drawScores(detectors, ['all'], options, (results, draws) => {
    drawn.push(Float64Array.from(compute(results, draws)));
  });
  const values = Float64Array.from(compute(actual, everyImageOnce(detectors[0])));
  return Array.from(values, (_, column) => estimateOf(drawn, values, column));
}

/**
 * Scores all detectors on the same samples of the images.
 *
 * @param sizes the sizes of objects that figures are about
 * @param visit is called with the scores of each sample
 * @returns the scores on the images as they are
 */
async function drawScores(
  detectors: readonly Matches[],
  sizes: readonly Area[],
  { resamples = RESAMPLES, seed = 0, onProgress, signal }: BootstrapOptions,
  visit: (results: readonly CocoResult[], draws: Uint32Array) => void,
): Promise<readonly CocoResult[]> {
  const [reference] = detectors;
  if (!reference) return [];
  checkComparable(detectors, reference);
  const scorers = detectors.map((matches) => createScorer(matches, sizes));
  const sample = imageSampler(reference.images.length, seed);
  let paused = performance.now();
  for (let done = 0; done < resamples; done++) {
    if (performance.now() - paused > SLICE_MS) {
      onProgress?.({ label: 'Confidence intervals', done, total: resamples });
      await setImmediate();
      signal?.throwIfAborted();
      paused = performance.now();
    }
    const draws = sample();
    visit(
      scorers.map((score) => score(draws)),
      draws,
    );
  }
  onProgress?.({ label: 'Confidence intervals', done: resamples, total: resamples });
  const everyImage = everyImageOnce(reference);
  return scorers.map((score) => score(everyImage));
}

const everyImageOnce = (matches: Matches | undefined) => new Uint32Array(matches?.images.length ?? 0).fill(1);

const NOTHING = new Float64Array();

const subtract = (vector: Float64Array, other: Float64Array) =>
  vector.map((value, index) => value - (other[index] ?? Number.NaN));

/** The percentiles of a column, of the samples that have ground truth for it. */
function estimateOf(samples: readonly Float64Array[], actual: Float64Array, column: number): Estimate {
  const values = samples.map((vector) => vector[column] ?? Number.NaN).filter((value) => !Number.isNaN(value));
  const tail = (1 - CONFIDENCE) / 2;
  return {
    value: actual[column] ?? Number.NaN,
    low: quantile(values, tail),
    high: quantile(values, 1 - tail),
  };
}

function checkComparable(detectors: readonly Matches[], reference: Matches): void {
  const describe = ({ images, categories }: Matches) => JSON.stringify([images, categories.map(({ id }) => id)]);
  const expected = describe(reference);
  if (detectors.some((matches) => describe(matches) !== expected))
    throw new UsageError(
      'The detectors were scored on different images or categories; score them on the same data set.',
    );
}

/** The figures and the AP of each category in one list; NaN where there is no ground truth. */
function vectorOf({ figures, averagePrecisionOf }: CocoResult): Float64Array {
  const values = [...FIGURES.map(({ name }) => figures[name]), ...averagePrecisionOf.values()];
  return Float64Array.from(values, (value) => (value < 0 ? Number.NaN : value));
}

/**
 * Whether enough images for an interval show an object.
 *
 * @param counts whether the objects of a category count; by default all do
 * @param area the objects that count by their size
 */
export function hasEnoughImages(
  { categories }: Matches,
  counts: (category: number) => boolean = () => true,
  area: Area = 'all',
): boolean {
  const shown = new Set<number>();
  for (const { id, areas } of categories)
    if (counts(id)) for (const image of areas[area].positives.images) shown.add(image);
  return shown.size >= MIN_IMAGES;
}

/** For each column of `vectorOf`, whether enough images show an object that counts for it. */
function columnsWithEnoughImages(matches: Matches): boolean[] {
  return [
    ...FIGURES.map(({ area }) => hasEnoughImages(matches, () => true, area)),
    ...matches.categories.map(({ id }) => hasEnoughImages(matches, (category) => category === id)),
  ];
}

/** The values of the columns of `vectorOf` by name, without those that are undefined. */
function named<T>({ categories }: Matches, find: (column: number) => T | undefined) {
  const figures: Partial<Record<string, T>> = {};
  for (const [column, { name }] of FIGURES.entries()) {
    const value = find(column);
    if (value !== undefined) figures[name] = value;
  }
  const averagePrecisionOf = new Map<number, T>();
  for (const [index, { id }] of categories.entries()) {
    const value = find(FIGURES.length + index);
    if (value !== undefined) averagePrecisionOf.set(id, value);
  }
  return { figures, averagePrecisionOf };
}
