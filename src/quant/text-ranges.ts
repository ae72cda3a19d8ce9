/**
 * Ranges that change with the length of the text. A recipe with `text` makes such layers dynamic, or looks their ranges up by
 * the length. Where neither is possible, a layer keeps one range for all lengths, and a notice names it.
 */
import type { Statistics } from './observe/calibrate.ts';
import { textDependence } from './observe/text-dependence.ts';
import type { Form } from './operators/operator.ts';
import type { LengthLookup, PlanEntry, PlannedActivation } from './plan-entry.ts';
import type { Recipe } from './recipe.ts';
import type { Range } from './scheme.ts';

/**
 * The forms whose operators take a scale that is computed when the model runs. Runtimes compute pairs of QuantizeLinear and
 * DequantizeLinear in integers only if the scale is a constant.
 */
const TAKES_COMPUTED_SCALE: ReadonlySet<Form> = new Set<Form>(['weighted-product', 'integer-values']);

/** The entry, or its dynamic form where the range of its input changes too much with the text. */
export function chooseByText(entry: PlanEntry, recipe: Recipe, statistics: Statistics): PlanEntry {
  const { ifTextDependent, activations } = entry;
  const [activation] = activations;
  const isDependent = ifTextDependent && activation && isTextDependent(activation.source, recipe, statistics);
  return isDependent ? ifTextDependent : entry;
}

/**
 * The ranges by the length of the text for an activation of a static layer.
 *
 * @param narrow applies the layer's clip and symmetry to a range
 * @returns undefined if the recipe does not look ranges up, if the range is given or changes little with the text, or if the
 * operator needs a constant scale
 */
export function lookupByLength(
  { source }: PlannedActivation,
  { quantizable, rule }: PlanEntry,
  recipe: Recipe,
  statistics: Statistics,
  narrow: (range: Range) => Range,
): LengthLookup | undefined {
  const statistic = statistics.get(source);
  const isAsked = recipe.text?.treatment === 'buckets' && TAKES_COMPUTED_SCALE.has(quantizable.form);
  if (!recipe.text || !isAsked || !statistic || rule?.rule.range || !isTextDependent(source, recipe, statistics))
    return undefined;
  const bounded = statistic.lengths.filter(({ tokens }) => Number.isFinite(tokens));
  const ranges = [...bounded, { ...statistic, tokens: Number.POSITIVE_INFINITY }];
  return {
    ranges: ranges.map(({ tokens, min, max }) => ({ tokens, range: narrow({ min, max }) })),
    length: recipe.text.length,
  };
}

/** Sentences that name the layers for which the `text` of a recipe does less than it says. */
export function textNotices(entries: readonly PlanEntry[], recipe: Recipe, statistics: Statistics): string[] {
  if (!recipe.text) return [];
  const observed = entries.flatMap(({ mode, activations }) => (mode === 'static' ? activations : []));
  const isKnown = observed.some(({ source }) => (statistics.get(source)?.lengths.length ?? 0) > 1);
  if (observed.length > 0 && !isKnown)
    return [
      `The recipe ${recipe.name} treats ranges by the length of the text, but the statistics are of texts of one length, so every range is fixed.`,
    ];
  const isFixed = ({ mode, rule, activations }: PlanEntry) =>
    mode === 'static' &&
    !rule?.rule.range &&
    activations.some(({ source, byLength }) => !byLength && isTextDependent(source, recipe, statistics));
  const hasObserver = ({ rule, activations }: PlanEntry) =>
    rule?.rule.observer !== undefined &&
    rule.rule.observer.kind !== 'min-max' &&
    activations.some((each) => each.byLength);
  const wish = recipe.text.treatment === 'buckets' ? 'be looked up by the length' : 'be found when the model runs';
  return [
    ...sentence(
      entries.filter(isFixed),
      (names) =>
        `The ranges of ${names} change with the length of the text, but cannot ${wish}; they are fixed, over all lengths.`,
    ),
    ...sentence(
      entries.filter(hasObserver),
      (names) =>
        `The ranges of ${names} are looked up by the length of the text and go from the minimum to the maximum; the observer of the recipe ${recipe.name} has no effect on them.`,
    ),
  ];
}

/** The names that a sentence lists before it counts the others. */
const LISTED = 5;

function sentence(entries: readonly PlanEntry[], say: (names: string) => string): string[] {
  const names = [...new Set(entries.map(({ node }) => node.name))];
  const others = names.length - LISTED;
  const listed = names.slice(0, LISTED).join(', ') + (others > 0 ? ` and ${others} more nodes` : '');
  return names.length > 0 ? [say(listed)] : [];
}

function isTextDependent(source: string, { text }: Recipe, statistics: Statistics): boolean {
  const statistic = statistics.get(source);
  return text !== undefined && statistic !== undefined && textDependence(statistic).factor > text.factor;
}
