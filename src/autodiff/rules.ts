/** The table of differentiation rules. */
import type { Rule } from './rule.ts';
import { arithmeticRules } from './rules/arithmetic.ts';
import { contractionRules } from './rules/contraction.ts';
import { movementRules } from './rules/movement.ts';
import { normalizationRules } from './rules/normalization.ts';
import { reductionRules } from './rules/reduction.ts';
import { selectionRules } from './rules/selection.ts';

/** The rule of each standard operator that has one. */
export const rules: Readonly<Record<string, Rule>> = {
  ...arithmeticRules,
  ...contractionRules,
  ...normalizationRules,
  ...reductionRules,
  ...movementRules,
  ...selectionRules,
};
