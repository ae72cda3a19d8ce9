/** Contradictions between the rules of a recipe about a value or a weight that several nodes share. */
import { UsageError } from '../base/errors.ts';
import { DEFAULT_OBSERVER } from './observe/observer.ts';
import type { PlanEntry } from './plan-entry.ts';
import type { Recipe, Rule } from './recipe.ts';

/**
 * @throws UsageError if two rules give different ranges to layers that share an activation, or different schemes to nodes
 * that share a weight: one value has one range, and one weight is stored once
 */
export function checkConflicts(entries: readonly PlanEntry[], recipe: Recipe): void {
  const ofActivations = new Map<string, PlanEntry>();
  const ofWeights = new Map<string, PlanEntry>();
  for (const entry of entries) {
    if (entry.mode === 'static')
      for (const { source } of entry.activations) {
        const other = ofActivations.get(source) ?? entry;
        ofActivations.set(source, other);
        if (rangeKey(other.rule?.rule) !== rangeKey(entry.rule?.rule))
          throw new UsageError(
            `The recipe ${recipe.name} gives the value ${source} two ranges, ${nameOf(other)} and ${nameOf(entry)}; state the same range, observer and symmetric in both rules, or make one of the layers float or dynamic.`,
          );
      }
    const { weight } = entry;
    if (!weight) continue;
    const other = ofWeights.get(weight.weight.name) ?? entry;
    ofWeights.set(weight.weight.name, other);
    if (weightKey(other) !== weightKey(entry))
      throw new UsageError(
        `The recipe ${recipe.name} stores the weight ${weight.weight.name} in two ways, ${nameOf(other)} and ${nameOf(entry)}; state the same \`weights\` in both rules, or make one of the layers float.`,
      );
  }
}

/** Rules with equal keys make the same range of a statistic. */
function rangeKey(rule: Rule | undefined): string {
  return JSON.stringify(rule?.range ?? [rule?.observer ?? DEFAULT_OBSERVER, rule?.symmetric ?? false]);
}

/** Entries with equal keys store the same integers. */
function weightKey({ weight }: PlanEntry): string {
  return JSON.stringify([weight?.axis, weight?.scheme]);
}

function nameOf({ rule, path, operator }: PlanEntry): string {
  return rule
    ? `by rule ${rule.number} ("${rule.rule.match.join('", "')}") for ${path} (${operator})`
    : `by no rule for ${path} (${operator})`;
}
