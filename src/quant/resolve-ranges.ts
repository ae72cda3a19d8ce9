/** Statistics fill in what a plan leaves open: ranges of static activations, limits of clips, and means for biases. */
import type { Statistics } from './observe/calibrate.ts';
import { binnedMagnitudes } from './observe/histogram.ts';
import { DEFAULT_OBSERVER, estimateRange } from './observe/observer.ts';
import { percentileMaximum } from './observe/percentile.ts';
import type { Statistic } from './observe/statistic.ts';
import { textDependence } from './observe/text-dependence.ts';
import type { QuantizationPlan } from './plan.ts';
import type { PlanEntry, PlannedActivation, PlannedClip } from './plan-entry.ts';
import type { Rule } from './recipe.ts';
import { requireStatistics } from './require-statistics.ts';
import type { Range } from './scheme.ts';

/** The sources of ranges. */
export interface RangeSources {
  /** Statistics by the name of the value. */
  readonly statistics?: Statistics | undefined;
  /** Ranges that are known otherwise, such as learned ones, by the name of the source; they take precedence. */
  readonly ranges?: ReadonlyMap<string, Range> | undefined;
}

/** Statistics of values, and the names of those that were asked for in vain. */
class Lookup {
  readonly missing = new Set<string>();
  readonly #statistics: Statistics;

  constructor(statistics: Statistics) {
    this.#statistics = statistics;
  }

  /** undefined, for now, if the value was not observed. */
  get(value: string): Statistic | undefined {
    const found = this.#statistics.get(value);
    if (!found) this.missing.add(value);
    return found;
  }
}

/**
 * The plan with its ranges, limits and means. A plan that is resolved already is returned as it is.
 *
 * @throws InputError if statistics are missing; the message names the values to observe
 * @example
 * const resolved = resolveRanges(plan, { statistics });
 */
export function resolveRanges(
  plan: QuantizationPlan,
  { statistics = new Map(), ranges = new Map() }: RangeSources,
): QuantizationPlan {
  if (plan.isResolved) return plan;
  const { recipe } = plan;
  const lookup = new Lookup(statistics);
  const clips = plan.clips.map((clip) => withLimit(clip, lookup));
  const limits = new Map(clips.map(({ value, limit }) => [value, limit ?? Number.POSITIVE_INFINITY]));
  const rangeOf = (source: string, rule: Rule | undefined): Range | undefined => {
    const known = ranges.get(source) ?? givenRange(rule);
    if (known) return known;
    const statistic = lookup.get(source);
    if (!statistic) return undefined;
    const range = estimateRange(statistic, rule?.observer ?? DEFAULT_OBSERVER, plan.target.activations);
    const limit = limits.get(source) ?? Number.POSITIVE_INFINITY;
    const clipped = { min: Math.max(range.min, -limit), max: Math.min(range.max, limit) };
    const largest = Math.max(-clipped.min, clipped.max);
    return rule?.symmetric ? { min: -largest, max: largest } : clipped;
  };
  const withRange = (activation: PlannedActivation, entry: PlanEntry): PlannedActivation => {
    const byLength = lengthLookup(activation, entry, plan, statistics);
    return { ...activation, range: rangeOf(activation.source, entry.rule?.rule), byLength };
  };
  const entries = plan.entries.map((planned): PlanEntry => {
    const entry = byText(planned, plan, statistics);
    const { correction } = entry;
    return {
      ...entry,
      activations:
        entry.mode === 'static' ? entry.activations.map((each) => withRange(each, entry)) : entry.activations,
      correction: correction && { ...correction, statistic: lookup.get(correction.value) },
    };
  });
  requireStatistics([...lookup.missing], statistics, `The recipe ${recipe.name}`);
  return { ...plan, entries, clips, isResolved: true };
}

const givenRange = (rule: Rule | undefined): Range | undefined =>
  rule?.range && { min: rule.range[0], max: rule.range[1] };

function withLimit(clip: PlannedClip, lookup: Lookup): PlannedClip {
  const statistic = lookup.get(clip.value);
  return { ...clip, limit: statistic && percentileMaximum(binnedMagnitudes(statistic.histogram), clip.percentile) };
}

/** The entry, or its dynamic form where the range of its input changes too much with the text. */
function byText(entry: PlanEntry, { recipe }: QuantizationPlan, statistics: Statistics): PlanEntry {
  const [activation] = entry.activations;
  const isDependent = entry.ifTextDependent && activation && isTextDependent(activation.source, recipe, statistics);
  return isDependent ? entry.ifTextDependent : entry;
}

function isTextDependent(source: string, { text }: QuantizationPlan['recipe'], statistics: Statistics): boolean {
  const statistic = statistics.get(source);
  return text !== undefined && statistic !== undefined && textDependence(statistic).factor > text.factor;
}

/** Where the range of an activation is looked up by the length of the text; only layers with weights can do that. */
function lengthLookup(
  { source }: PlannedActivation,
  { quantizable }: PlanEntry,
  { recipe }: QuantizationPlan,
  statistics: Statistics,
): PlannedActivation['byLength'] {
  const { text } = recipe;
  const statistic = statistics.get(source);
  const isLookedUp = text?.treatment === 'buckets' && quantizable.form === 'weighted-product';
  return isLookedUp && statistic && isTextDependent(source, recipe, statistics)
    ? { statistic, length: text.length }
    : undefined;
}
