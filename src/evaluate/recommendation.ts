/**
 * The variant to ship: the fastest one whose loss of average precision is, with confidence, no larger than allowed. One function
 * decides, so that reports, tables and JSON say the same.
 */
import { checkFields, checkValue, listOf, numberWithin, objectWith } from '../base/check-options.ts';
import { type Estimate, median } from '../base/statistics.ts';

/** The points of average precision that may be lost, where nothing else is said. */
export const DEFAULT_ALLOWED_DROP = 0.5;

/** A variant as far as the choice depends on it. */
export interface Candidate {
  /** Its name. */
  readonly name: string;
  /** The change of average precision against the reference, from −1 to 1, with its 95 % interval; undefined if there is none. */
  readonly change?: Estimate | undefined;
  /** Average precision from 0 to 1; it orders variants without an interval, and that of the reference must be worth keeping. */
  readonly averagePrecision?: number | undefined;
  /** The median time of a run in each round; all variants took turns in a round. Undefined or empty if it was not measured. */
  readonly roundSeconds?: readonly number[] | undefined;
  /** The size of the file. */
  readonly fileBytes?: number | undefined;
}

/**
 * How the loss of a variant lies to the allowed drop:
 * - `within`: the whole interval of the loss is within the allowed drop;
 * - `uncertain`: the interval reaches on both sides of it, so that more images are needed to tell;
 * - `beyond`: the whole interval is beyond it;
 * - `unknown`: there is no interval, because there are too few images or nothing to compare with.
 */
export type DropStatus = 'within' | 'uncertain' | 'beyond' | 'unknown';

/** The judgement of one variant. */
export interface JudgedVariant {
  /** Its name. */
  readonly name: string;
  /** How its loss lies to the allowed drop; undefined for the reference. */
  readonly status: DropStatus | undefined;
}

/**
 * What was decided:
 * - `ship`: a variant is recommended;
 * - `keep`: variants lose no more than allowed, and none of them is as fast as the reference;
 * - `none`: no variant loses, with confidence, as little as allowed;
 * - `unmeasured`: the times that the choice needs were not measured, or there is nothing to choose from;
 * - `meaningless`: the reference has no more average precision than may be lost, so that every variant would qualify.
 */
export type Decision = 'ship' | 'keep' | 'none' | 'unmeasured' | 'meaningless';

/** The variant to ship, and why. */
export interface Recommendation {
  /** What was decided. */
  readonly decision: Decision;
  /** The points of average precision that may be lost. */
  readonly allowedDrop: number;
  /** The variant to ship, which with `keep` is the reference; undefined if there is none. */
  readonly variant?: string | undefined;
  /** The variant that comes closest, if none loses as little as allowed. */
  readonly closest?: string | undefined;
  /** The judgement of each variant. */
  readonly judged: readonly JudgedVariant[];
}

const candidatesSchema = listOf('a list of variants', objectWith('a variant with its name', 'name'));

/**
 * Chooses the variant to ship: the fastest of those whose loss is within the allowed drop at the lower end of its 95 % interval.
 * Variants whose order in time differs between rounds are equally fast; of those the more accurate one is taken that is
 * surely faster than the reference, and the reference only if no other is as fast.
 *
 * @param candidates the variants; the first is the reference that the others are compared with
 * @param allowedDrop the points of average precision that may be lost
 * @throws UsageError if the variants are no list, or if the drop is negative
 * @example
 * const { variant } = recommendVariant([
 *   { name: 'FP32', roundSeconds: [0.9, 0.91] },
 *   { name: 'fast', roundSeconds: [0.3, 0.31], change: { value: -0.001, low: -0.003, high: 0.002 } },
 * ]);
 * console.log(variant); // fast
 */
export function recommendVariant(
  candidates: readonly Candidate[],
  allowedDrop: number = DEFAULT_ALLOWED_DROP,
): Recommendation {
  checkValue('The variants', candidatesSchema, candidates);
  checkValue('The allowed drop', numberWithin(0, 100), allowedDrop);
  const [reference, ...others] = candidates;
  const judged = candidates.map((candidate): JudgedVariant => {
    checkFields('A variant must be an object with its name', candidate, 'name');
    return { name: candidate.name, status: candidate === reference ? undefined : statusOf(candidate, allowedDrop) };
  });
  const about = { allowedDrop, judged };
  if (!reference || others.length === 0) return { ...about, decision: 'unmeasured' };
  if (100 * (reference.averagePrecision ?? Number.POSITIVE_INFINITY) <= allowedDrop)
    return { ...about, decision: 'meaningless' };
  const within = others.filter((candidate) => statusOf(candidate, allowedDrop) === 'within');
  if (within.length === 0) return { ...about, decision: 'none', closest: closestOf(others)?.name };
  const timed = [reference, ...within].filter(isTimed);
  if (timed.length <= within.length) return { ...about, decision: 'unmeasured' };
  const isFaster = (candidate: Candidate) => compareTimes(candidate, reference) === 'faster';
  const [fastest = reference] = timed.toSorted((a, b) => timeOf(a) - timeOf(b));
  const [variant = fastest] = timed
    .filter((candidate) => compareTimes(candidate, fastest) === 'equal')
    .toSorted(
      (a, b) =>
        // Of equals, one that is surely faster than the reference is preferred to one that may not be.
        Number(isFaster(b)) - Number(isFaster(a)) ||
        Number(a === reference) - Number(b === reference) ||
        (b.change?.value ?? 0) - (a.change?.value ?? 0) ||
        (a.fileBytes ?? 0) - (b.fileBytes ?? 0),
    );
  return { ...about, decision: variant === reference ? 'keep' : 'ship', variant: variant.name };
}

function statusOf({ change }: Candidate, allowedDrop: number): DropStatus {
  if (!change || !Number.isFinite(change.low) || !Number.isFinite(change.high)) return 'unknown';
  if (100 * change.low >= -allowedDrop) return 'within';
  return 100 * change.high < -allowedDrop ? 'beyond' : 'uncertain';
}

/** The variant with the smallest loss that can be excluded; without intervals the most accurate one. */
const closestOf = (candidates: readonly Candidate[]): Candidate | undefined =>
  candidates.toSorted(
    (a, b) => (b.change?.low ?? -1) - (a.change?.low ?? -1) || (b.averagePrecision ?? -1) - (a.averagePrecision ?? -1),
  )[0];

const isTimed = ({ roundSeconds = [] }: Candidate): boolean =>
  roundSeconds.length > 0 && roundSeconds.every((seconds) => Number.isFinite(seconds) && seconds > 0);

const timeOf = ({ roundSeconds = [] }: Candidate): number => median(roundSeconds);

/**
 * Compares the times of two variants round by round. They are equal if the rounds do not agree on which is faster; a single round
 * shows no spread, and its times are taken as they are.
 */
export function compareTimes(
  { roundSeconds: first = [] }: Pick<Candidate, 'roundSeconds'>,
  { roundSeconds: second = [] }: Pick<Candidate, 'roundSeconds'>,
): 'faster' | 'slower' | 'equal' {
  // Without a common round only the medians can be compared.
  const pairs =
    first.length === second.length ? first.map((seconds, round) => [seconds, second[round] ?? seconds] as const) : [];
  const compared = pairs.length > 0 ? pairs : [[median(first), median(second)] as const];
  if (compared.every(([a, b]) => a < b)) return 'faster';
  return compared.every(([a, b]) => a > b) ? 'slower' : 'equal';
}
