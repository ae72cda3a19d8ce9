/**
 * How well a detector knows words: average precision apart for phrases that training saw and those it never saw, by other phrases
 * for the same objects, and in prompts with phrases that name nothing in the image. Each number has an interval, and the change
 * from another detector on the same draws of the images.
 */
import type { Estimate } from '../base/statistics.ts';
import { type BootstrapOptions, bootstrapNumbers, hasEnoughImages } from './bootstrap.ts';
import type { CategoryMatches, Matches } from './matches.ts';
import type { CocoResult } from './score-matches.ts';

/** A number with its interval; undefined where there is nothing to tell from, as without objects. */
export interface VocabularyNumber {
  /** The number: average precision from 0 to 1, a difference of two, or boxes in an image. */
  readonly value: number | undefined;
  /** Its 95 % interval; undefined with fewer than 10 images with such objects. */
  readonly interval?: Estimate | undefined;
  /** The difference from the other detector; undefined without one. */
  readonly change?: number | undefined;
  /** The 95 % interval of the difference. */
  readonly changeInterval?: Estimate | undefined;
}

/** Average precision apart for some categories and the others. */
export interface SeenScores {
  /** The number of categories with objects whose phrases training saw. */
  readonly seenCategories: number;
  /** The number of categories with objects whose phrases training never saw. */
  readonly unseenCategories: number;
  /** The mean average precision of the categories that training saw. */
  readonly seen: VocabularyNumber;
  /** The mean average precision of those that it never saw. */
  readonly unseen: VocabularyNumber;
  /** The second without the first. */
  readonly difference: VocabularyNumber;
}

/** A paraphrase, with the average precision of its category. */
export interface ParaphraseScore {
  /** The name of the category. */
  readonly category: string;
  /** The phrase in its place. */
  readonly phrase: string;
  /** The average precision by the name. */
  readonly original: VocabularyNumber;
  /** The average precision by the phrase. */
  readonly paraphrased: VocabularyNumber;
  /** The second without the first: negative is a loss. */
  readonly difference: VocabularyNumber;
}

/** The scores of paraphrases. */
export interface ParaphraseScores {
  /** Every paraphrase. */
  readonly phrases: readonly ParaphraseScore[];
  /** The means over all paraphrases. */
  readonly mean: Pick<ParaphraseScore, 'original' | 'paraphrased' | 'difference'>;
}

/** The scores of prompts with as many absent phrases. */
export interface AbsentScore {
  /** The number of phrases that name nothing in the image; fewer where there are no more. */
  readonly absent: number;
  /** The mean number of phrases of a prompt. */
  readonly phrases: number;
  /** The boxes of absent phrases in an image with at least the threshold as their score. */
  readonly falseAlarms: VocabularyNumber;
  /** Average precision. */
  readonly averagePrecision: VocabularyNumber;
  /** The change of average precision by the absent phrases. */
  readonly difference: VocabularyNumber;
}

/** A value for the detector that is judged, and one for the other detector if there is one. */
export interface OfDetectors<T> {
  /** Of the detector that is judged. */
  readonly judged: T;
  /** Of the other one. */
  readonly other?: T | undefined;
}

/**
 * The numbers of both detectors, with the changes.
 *
 * @param runs the matches of each detector, as many of both
 * @param compute the numbers of one detector in one sample, from the scores of its runs and the number of draws of each image
 * @param isEnough whether there are enough images for an interval of a number
 */
async function judge(
  { judged, other }: OfDetectors<readonly Matches[]>,
  compute: (results: readonly CocoResult[], draws: Uint32Array, isJudged: boolean) => readonly number[],
  isEnough: (index: number) => boolean,
  options: BootstrapOptions,
): Promise<(index: number) => VocabularyNumber> {
  const columns = (results: readonly CocoResult[], draws: Uint32Array): number[] => {
    const own = compute(results.slice(0, judged.length), draws, true);
    if (!other) return [...own];
    const others = compute(results.slice(judged.length), draws, false);
    return [...own, ...own.map((value, index) => value - (others[index] ?? Number.NaN))];
  };
  const estimates = await bootstrapNumbers([...judged, ...(other ?? [])], columns, options);
  const count = other ? estimates.length / 2 : estimates.length;
  return (index) => {
    const [estimate, change] = [estimates[index], other && estimates[count + index]];
    const known = (found: Estimate | undefined) =>
      found && isEnough(index) && !Number.isNaN(found.low) ? found : undefined;
    const value = (found: Estimate | undefined) => (found && !Number.isNaN(found.value) ? found.value : undefined);
    return {
      value: value(estimate),
      interval: known(estimate),
      ...(other && { change: value(change), changeInterval: known(change) }),
    };
  };
}

/** The mean of the values that are known; NaN if there is none. */
function meanOf(values: readonly number[]): number {
  const known = values.filter((value) => value >= 0);
  return known.length === 0 ? Number.NaN : known.reduce((sum, value) => sum + value, 0) / known.length;
}

const hasObjects = ({ areas }: CategoryMatches): boolean => areas.all.positives.images.length > 0;

/**
 * Scores apart.
 * @param seen the ids of the categories that training saw
 */
export async function scoreSeen(
  matches: OfDetectors<Matches>,
  seen: ReadonlySet<number>,
  options: BootstrapOptions,
): Promise<SeenScores> {
  const precision = ({ averagePrecisionOf }: CocoResult, isSeen: boolean) =>
    meanOf([...averagePrecisionOf].flatMap(([id, value]) => (seen.has(id) === isSeen ? [value] : [])));
  const enough = [true, false].map((isSeen) => hasEnoughImages(matches.judged, (id) => seen.has(id) === isSeen));
  const number = await judge(
    asRuns(matches),
    ([result]) => {
      const [known, unknown] = [true, false].map((isSeen) => (result ? precision(result, isSeen) : Number.NaN));
      return [known ?? Number.NaN, unknown ?? Number.NaN, (unknown ?? Number.NaN) - (known ?? Number.NaN)];
    },
    (index) => enough[index] ?? enough.every(Boolean),
    options,
  );
  const withObjects = matches.judged.categories.filter(hasObjects);
  const seenCategories = withObjects.filter(({ id }) => seen.has(id)).length;
  return {
    seenCategories,
    unseenCategories: withObjects.length - seenCategories,
    seen: number(0),
    unseen: number(1),
    difference: number(2),
  };
}

const asRuns = ({ judged, other }: OfDetectors<Matches>): OfDetectors<readonly Matches[]> => ({
  judged: [judged],
  other: other && [other],
});

/** A paraphrase of a category, with the matches of this category in a run in which it stood in the place of the name. */
export interface ParaphraseRun {
  /** The category. */
  readonly category: { readonly id: number; readonly name: string };
  /** The phrase. */
  readonly phrase: string;
  /** The matches of the category. */
  readonly matches: OfDetectors<CategoryMatches>;
}

/**
 * Scores paraphrases.
 * @param originals the matches of all categories by their names
 */
export async function scoreParaphrases(
  originals: OfDetectors<Matches>,
  runs: readonly ParaphraseRun[],
  options: BootstrapOptions,
): Promise<ParaphraseScores> {
  // One detector whose categories are the original and the paraphrase of each row, in turns: no other category is scored again.
  const rowsOf = (original: Matches, of: (run: ParaphraseRun) => CategoryMatches | undefined): Matches => ({
    images: original.images,
    categories: runs
      .flatMap((run) => [original.categories.find(({ id }) => id === run.category.id), of(run)])
      .flatMap((found, id) => (found ? [{ ...found, id }] : [])),
  });
  const judged = rowsOf(originals.judged, ({ matches }) => matches.judged);
  const other = originals.other && rowsOf(originals.other, ({ matches }) => matches.other);
  const enough = judged.categories.map(({ id }) => hasEnoughImages(judged, (category) => category === id));
  const number = await judge(
    asRuns({ judged, other }),
    ([result]) => {
      const values = [...(result?.averagePrecisionOf.values() ?? [])].map((value) => (value < 0 ? Number.NaN : value));
      const rows = runs.map((_, row) => [values[2 * row] ?? Number.NaN, values[2 * row + 1] ?? Number.NaN] as const);
      const known = rows.filter(([original, paraphrased]) => !Number.isNaN(original + paraphrased));
      const mean = (of: 0 | 1) => meanOf(known.map((row) => row[of]));
      const means = [mean(0), mean(1), mean(1) - mean(0)];
      return [...rows.flatMap(([original, paraphrased]) => [original, paraphrased, paraphrased - original]), ...means];
    },
    (index) => (index < 3 * runs.length ? (enough[2 * Math.floor(index / 3)] ?? false) : hasEnoughImages(judged)),
    options,
  );
  const row = (at: number) => ({ original: number(at), paraphrased: number(at + 1), difference: number(at + 2) });
  return {
    phrases: runs.map(({ category, phrase }, index) => ({ category: category.name, phrase, ...row(3 * index) })),
    mean: row(3 * runs.length),
  };
}

/** Prompts with as many absent phrases, with what was found by them. */
export interface AbsentRun {
  /** The number of absent phrases. */
  readonly absent: number;
  /** The mean number of phrases of a prompt. */
  readonly phrases: number;
  /** The matches of all categories, and the number of false alarms of each image, in the order of `Matches.images`. */
  readonly found: OfDetectors<{ readonly matches: Matches; readonly falseAlarms: readonly number[] }>;
}

/** Scores prompts with more and more absent phrases. @param runs the first has none */
export async function scoreAbsent(
  runs: readonly AbsentRun[],
  options: BootstrapOptions,
): Promise<readonly AbsentScore[]> {
  const of = <T>(read: (found: AbsentRun['found']['judged']) => T): OfDetectors<readonly T[]> => ({
    judged: runs.map(({ found }) => read(found.judged)),
    other: runs.some(({ found }) => found.other === undefined)
      ? undefined
      : runs.flatMap(({ found }) => (found.other ? [read(found.other)] : [])),
  });
  const falseAlarms = of((found) => found.falseAlarms);
  const matches = of((found) => found.matches);
  const [first] = matches.judged;
  const isEnough = first !== undefined && hasEnoughImages(first);
  const number = await judge(
    matches,
    (results, draws, isJudged) => {
      const precisions = results.map(({ figures: { AP } }) => (AP < 0 ? Number.NaN : AP));
      return runs.flatMap((_, index) => {
        const counts = (isJudged ? falseAlarms.judged : falseAlarms.other)?.[index] ?? [];
        const precision = precisions[index] ?? Number.NaN;
        return [drawnMean(counts, draws), precision, precision - (precisions[0] ?? Number.NaN)];
      });
    },
    () => isEnough,
    options,
  );
  return runs.map(({ absent, phrases }, index) => ({
    absent,
    phrases,
    falseAlarms: number(3 * index),
    averagePrecision: number(3 * index + 1),
    difference: number(3 * index + 2),
  }));
}

/** The mean over images, each of which counts as often as it was drawn. */
function drawnMean(values: readonly number[], draws: Uint32Array): number {
  const sum = values.reduce((total, value, image) => total + value * (draws[image] ?? 0), 0);
  return sum / Math.max(values.length, 1);
}
