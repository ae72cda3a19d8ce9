/** The error for values that were not observed. */
import { InputError } from '../base/errors.ts';
import type { Statistics } from './observe/calibrate.ts';

/** How many names a message lists. */
const LISTED = 3;

/**
 * @param who needs the statistics, as the beginning of a sentence
 * @throws InputError if one of `values` was not observed; the message names a few of those
 */
export function requireStatistics(values: readonly string[], statistics: Statistics, who: string): void {
  const missing = values.filter((value) => !statistics.has(value));
  if (missing.length === 0) return;
  const others = missing.length - LISTED;
  const names = missing.slice(0, LISTED).join(', ') + (others > 0 ? ` and ${others} more values` : '');
  throw new InputError(
    `${who} needs statistics of ${names}, which ${missing.length > 1 ? 'were' : 'was'} not observed; calibrate this model for this recipe.`,
  );
}
