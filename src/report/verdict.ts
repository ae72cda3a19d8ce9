/** The answer that a report gives, in words: which variant to ship, and what it costs. */
import { type Estimate, isChance, median } from '../base/statistics.ts';
import type { FoundCount } from '../evaluate/errors/found-objects.ts';
import { SIZES } from '../evaluate/errors/object-groups.ts';
import { points, signedInterval, signedPoints } from '../evaluate/points.ts';
import { compareTimes, type Recommendation, recommendVariant } from '../evaluate/recommendation.ts';
import type { ReportedVariant, VariantErrors } from './variants.ts';

/** A comparison of one measured number with that of the reference. */
export interface Gain {
  /** How many times smaller or faster; below 1 it is larger or slower. */
  readonly ratio: number;
  /** The lowest and the highest ratio of a round; undefined if there is no spread. */
  readonly low?: number | undefined;
  readonly high?: number | undefined;
  /** False if the rounds do not agree on which is faster. */
  readonly isDistinct: boolean;
}

/** The answer of a report. */
export interface Verdict {
  /** What the rule recommends, and why, as values. */
  readonly recommendation: Recommendation;
  /** One sentence, such as "Ship fast: 3.9× smaller, 3.4× faster, AP unchanged within chance". */
  readonly answer: string;
  /** What the user should do next: before any variant can be shipped, or before the chosen one is used; undefined if nothing is needed. */
  readonly advice?: string | undefined;
  /** The rule by which was decided. */
  readonly rule: string;
}

/** Decides which of the variants to ship. The first one is the reference. */
export function decide(variants: readonly ReportedVariant[], allowedDrop: number): Verdict {
  const recommendation = recommendVariant(
    variants.map(({ name, change, figures, roundSeconds, fileBytes }) => ({
      name,
      change: change?.AP,
      averagePrecision: figures?.AP,
      roundSeconds,
      fileBytes,
    })),
    allowedDrop,
  );
  const [reference] = variants;
  const drop = `${allowedDrop.toFixed(2)} points of AP`;
  const rule = `The rule: the fastest variant that loses at most ${drop} at the lower end of its 95 % confidence interval. Variants that are equally fast within the spread are told apart by AP.`;
  return { recommendation, rule, ...inWords(recommendation, variants, reference?.name ?? 'the reference', drop) };
}

function inWords(
  { decision, variant: chosen, closest, judged }: Recommendation,
  variants: readonly ReportedVariant[],
  reference: string,
  drop: string,
): Pick<Verdict, 'answer' | 'advice'> {
  const find = (name: string | undefined) => variants.find((each) => each.name === name);
  const [first, variant, near] = [variants[0], find(chosen), find(closest)];
  if (decision === 'ship' && variant && first)
    return { answer: `Ship ${variant.name}: ${costs(variant, first)}.`, advice: thresholdAdvice(variant, first) };
  if (decision === 'keep')
    return {
      answer: `Keep ${reference}: no variant that loses at most ${drop} is as fast.`,
      advice: 'Variants may still be smaller: see the table of file and memory.',
    };
  if (decision === 'unmeasured')
    return variants.length < 2
      ? {
          answer: `There is nothing to choose from: ${variants.length === 0 ? 'no result is about a variant as a whole' : 'the results are of one variant only'}.`,
        }
      : {
          answer: 'Which variant is fastest was not measured, so that none is recommended.',
          advice: 'Time all variants beside each other (dino8 bench), and add the result.',
        };
  if (decision === 'meaningless')
    return {
      answer: `Nothing can be recommended: ${reference} itself has ${points(first?.figures?.AP ?? 0)} points of AP on these images, no more than may be lost.`,
      advice: 'Score on images of what the model can find, or train it first.',
    };
  const statuses = new Set(judged.map(({ status }) => status));
  const nearest = near && first ? ` ${near.name} comes closest: ${costs(near, first)}.` : '';
  return {
    answer: `Ship none of these yet: no variant loses at most ${drop} with confidence.${nearest}`,
    advice: statuses.has('uncertain')
      ? 'The interval of a variant reaches to both sides of what is allowed: score on more images to tell.'
      : statuses.has('beyond')
        ? 'Train the model with quantization in place (dino8 qat), leave its most sensitive parts float (dino8 tune), or allow a larger drop.'
        : 'There are too few images for a confidence interval, or nothing to compare with: score on more images, against the float model.',
  };
}

/** AP does not depend on where scores lie, and the user of a threshold does. */
function thresholdAdvice(variant: ReportedVariant, reference: ReportedVariant): string | undefined {
  const objects = compareFound(variant, reference);
  if (!objects || objects.isChance) return undefined;
  const { threshold, found, before, total } = objects;
  return `Choose its threshold anew: with boxes that score at least ${threshold} it finds ${found} of ${total} objects, where ${reference.name} finds ${before}.`;
}

/** What a variant costs against the reference, in one phrase. */
function costs(variant: ReportedVariant, reference: ReportedVariant): string {
  const [size, speed] = [sizeGain(variant, reference), speedGain(variant, reference)];
  return [size && sizeInWords(size), speed && speedInWords(speed), changeInWords(variant.change?.AP)]
    .flatMap((part) => part ?? [])
    .join(', ');
}

/** A ratio is told with this many digits, and one that rounds to 1 is no difference. */
const times = (ratio: number): string => `${ratio.toFixed(1)}×`;
const isEqual = (ratio: number): boolean => Math.abs(ratio - 1) < 0.05;
const larger = (ratio: number): number => Math.max(ratio, 1 / ratio);

const sizeInWords = ({ ratio }: Gain): string =>
  isEqual(ratio) ? 'as large' : `${times(larger(ratio))} ${ratio > 1 ? 'smaller' : 'larger'}`;

function speedInWords({ ratio, low, high, isDistinct }: Gain): string {
  const spread = (a = ratio, b = ratio) =>
    a.toFixed(1) === b.toFixed(1) ? '' : ` (${a.toFixed(1)} to ${b.toFixed(1)})`;
  if (!isDistinct) return `as fast within the spread${spread(low, high)}`;
  if (isEqual(ratio)) return 'as fast';
  if (ratio > 1) return `${times(ratio)} faster${spread(low, high)}`;
  return `${times(1 / ratio)} slower${spread(high && 1 / high, low && 1 / low)}`;
}

/** A change of AP in words, with its interval. */
function changeInWords(change: Estimate | undefined): string {
  if (!change) return 'change of AP unknown';
  if (isChance(change)) return `AP unchanged within chance (${signedInterval(change)})`;
  return `AP ${signedPoints(change.value)} (${signedInterval(change)})`;
}

/** How many times smaller the file of a variant is; undefined if a size is not known. */
export function sizeGain({ fileBytes }: ReportedVariant, reference: ReportedVariant): Gain | undefined {
  if (!fileBytes || !reference.fileBytes) return undefined;
  return { ratio: reference.fileBytes / fileBytes, isDistinct: true };
}

/** How many times less memory a variant takes; undefined if it was not measured. */
export function memoryGain({ peakMemoryBytes }: ReportedVariant, reference: ReportedVariant): Gain | undefined {
  if (!peakMemoryBytes || !reference.peakMemoryBytes) return undefined;
  return { ratio: reference.peakMemoryBytes / peakMemoryBytes, isDistinct: true };
}

/** How many times faster a variant is, by the rounds in which all took turns; undefined if it was not measured. */
export function speedGain(variant: ReportedVariant, reference: ReportedVariant): Gain | undefined {
  const [own, others] = [variant.roundSeconds ?? [], reference.roundSeconds ?? []];
  if (own.length === 0 || others.length === 0) return undefined;
  if (own.length !== others.length || own.length < 2) return { ratio: median(others) / median(own), isDistinct: true };
  const ratios = own.map((seconds, round) => (others[round] ?? Number.NaN) / seconds);
  return {
    ratio: median(ratios),
    low: Math.min(...ratios),
    high: Math.max(...ratios),
    isDistinct: compareTimes(variant, reference) !== 'equal',
  };
}

/** The objects that a variant and the reference find with boxes of at least the same score. */
export interface FoundComparison {
  /** The score. */
  readonly threshold: number;
  /** The objects that the variant finds. */
  readonly found: number;
  /** The objects that the reference finds. */
  readonly before: number;
  /** All objects. */
  readonly total: number;
  /** True if the two numbers cannot be told apart. */
  readonly isChance: boolean;
}

/** The standard deviations that a 95 % interval reaches to each side. */
const DEVIATIONS = 1.96;

/**
 * Compares the objects that a variant and the reference find. If both are equally good, an object that only one of them finds is as
 * probably of the one as of the other: McNemar's test (1947, https://doi.org/10.1007/BF02295996) with a correction for continuity.
 * @returns undefined if that is not known
 */
export function compareFound(
  { errors: own }: ReportedVariant,
  { errors: others }: ReportedVariant,
): FoundComparison | undefined {
  if (!own?.change || !others || own.threshold !== others.threshold) return undefined;
  const { lost, gained } = own.change;
  const count = (errors: VariantErrors, key: keyof FoundCount) =>
    SIZES.reduce((sum, size) => sum + errors.groups.size[size][key], 0);
  const [found, before, total] = [count(own, 'found'), count(others, 'found'), count(own, 'total')];
  const isChance = Math.abs(lost - gained) - 1 <= DEVIATIONS * Math.sqrt(lost + gained);
  return { threshold: own.threshold, found, before, total, isChance };
}
