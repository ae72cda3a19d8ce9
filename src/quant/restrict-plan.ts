/** A part of a quantization plan: some modules stay as planned, and all others become float. */
import { checkFields } from '../base/check-options.ts';
import { type QuantizationPlan, valuesOfEntries } from './plan.ts';
import type { PlanEntry } from './plan-entry.ts';
import type { Recipe, Rule } from './recipe.ts';

/**
 * The plan in which every module is float for which `keep` returns false. Its recipe has rules at its end that say so, by
 * which the same plan can be made again.
 *
 * @param plan a plan, resolved or not; the result is as resolved as it is
 * @param keep is called with module paths
 * @example
 * const decoder = restrictPlan(plan, (path) => path.startsWith('model.decoder.'));
 */
export function restrictPlan(plan: QuantizationPlan, keep: (path: string) => boolean): QuantizationPlan {
  checkFields('The plan must be what `planQuantization` returned', plan, 'entries', 'recipe');
  const isDropped = ({ path, mode }: PlanEntry) => mode !== 'float' && !keep(path);
  const dropped = plan.entries.filter(isDropped);
  const entries = plan.entries
    .map((entry) => (isDropped(entry) ? asFloat(entry) : entry))
    // A plan lists nodes that compute with activations only if they are quantized.
    .filter(({ operands, mode }) => operands === 'weights' || mode !== 'float');
  const paths = new Set(dropped.map(({ path }) => path));
  const clips = plan.clips.filter(({ path }) => !paths.has(path));
  return {
    ...plan,
    recipe: withFloat(plan.recipe, dropped),
    entries,
    clips,
    valuesToObserve: valuesOfEntries(entries, clips),
  };
}

const asFloat = (entry: PlanEntry): PlanEntry => ({
  ...entry,
  mode: 'float',
  activations: [],
  weight: undefined,
  correction: undefined,
  ifTextDependent: undefined,
});

/** The recipe with rules at its end that make the nodes of `dropped` float. */
function withFloat(recipe: Recipe, dropped: readonly PlanEntry[]): Recipe {
  const layers = dropped.filter(({ operands }) => operands === 'weights').map(({ path }) => path);
  const others = dropped.filter(({ operands }) => operands === 'activations');
  const operators = [...new Set(others.map(({ operator }) => operator))];
  const float = (match: string[], inputs: Rule['inputs'], named?: Rule['operators']): Rule[] =>
    match.length > 0 ? [{ match, inputs, treatment: 'float', operators: named }] : [];
  return {
    ...recipe,
    rules: [
      ...recipe.rules,
      ...float([...new Set(layers)], 'weights'),
      ...operators.flatMap((operator) => {
        const names = others.filter((entry) => entry.operator === operator).map(({ node }) => node.name);
        return float(names, 'activations', [operator]);
      }),
    ],
  };
}
