/** Fills in the parts of a plan that statistics determine: ranges of static activations, limits of clips, and means for biases. */
import { checkFields } from '../base/check-options.ts';
import type { Statistics } from './observe/calibrate.ts';
import { binnedMagnitudes } from './observe/histogram.ts';
import { DEFAULT_OBSERVER, estimateRange } from './observe/observer.ts';
import { percentileMaximum } from './observe/percentile.ts';
import type { Statistic } from './observe/statistic.ts';
import type { QuantizationPlan } from './plan.ts';
import type { PlanEntry, PlannedActivation, PlannedClip } from './plan-entry.ts';
import type { Rule } from './recipe.ts';
import { requireStatistics } from './require-statistics.ts';
import type { Range } from './scheme.ts';
import { chooseByText, lookupByLength, textNotices } from './text-ranges.ts';
import { withinUseful } from './useful-range.ts';

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

  /** Returns undefined and notes the name if the value was not observed. */
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
export function resolveRanges(plan: QuantizationPlan, options: RangeSources): QuantizationPlan {
  checkFields('The plan must be what `planQuantization` returned', plan, 'entries', 'recipe');
  checkFields('The options must be an object with statistics or ranges', options);
  const { statistics = new Map(), ranges = new Map() } = options;
  if (plan.isResolved) return plan;
  const { recipe } = plan;
  const lookup = new Lookup(statistics);
  const clips = plan.clips.map((clip) => withLimit(clip, lookup));
  const limits = new Map(clips.map(({ value, limit }) => [value, limit ?? Number.POSITIVE_INFINITY]));
  const rangeOf = ({ source, useful }: PlannedActivation, rule: Rule | undefined): Range | undefined => {
    const known = ranges.get(source) ?? givenRange(rule);
    if (known) return known;
    const statistic = lookup.get(source);
    if (!statistic) return undefined;
    const counted = useful ? withinUseful(statistic, useful) : statistic;
    const range = estimateRange(counted, rule?.observer ?? DEFAULT_OBSERVER, plan.target.activations);
    return narrow(range, source, rule);
  };
  const narrow = ({ min, max }: Range, source: string, rule: Rule | undefined): Range => {
    const limit = limits.get(source) ?? Number.POSITIVE_INFINITY;
    const clipped = { min: Math.max(min, -limit), max: Math.min(max, limit) };
    const largest = Math.max(-clipped.min, clipped.max);
    return rule?.symmetric ? { min: -largest, max: largest } : clipped;
  };
  const withRange = (activation: PlannedActivation, entry: PlanEntry): PlannedActivation => {
    const { source } = activation;
    const rule = entry.rule?.rule;
    const byLength = lookupByLength(activation, entry, recipe, statistics, (range) => narrow(range, source, rule));
    return { ...activation, range: rangeOf(activation, rule), byLength };
  };
  const entries = plan.entries.map((planned): PlanEntry => {
    const entry = chooseByText(planned, recipe, statistics);
    const { correction } = entry;
    return {
      ...entry,
      activations:
        entry.mode === 'static' ? entry.activations.map((each) => withRange(each, entry)) : entry.activations,
      correction: correction && { ...correction, statistic: lookup.get(correction.value) },
    };
  });
  requireStatistics([...lookup.missing], statistics, `The recipe ${recipe.name}`);
  const notices = [...plan.notices, ...textNotices(entries, recipe, statistics)];
  return { ...plan, entries, clips, notices, isResolved: true };
}

const givenRange = (rule: Rule | undefined): Range | undefined =>
  rule?.range && { min: rule.range[0], max: rule.range[1] };

function withLimit(clip: PlannedClip, lookup: Lookup): PlannedClip {
  const statistic = lookup.get(clip.value);
  return { ...clip, limit: statistic && percentileMaximum(binnedMagnitudes(statistic.histogram), clip.percentile) };
}
