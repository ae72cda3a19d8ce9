/** What calibration must know about the values of GroundingDINO. */
import type { ObservationRules } from '../../quant/observe/sample.ts';

/**
 * The network adds −1e9 to the scores of what must not be attended to, and such sums are no data. Where a value is
 * [batch, tokens, …], the tokens that only pad a prompt do not count.
 */
export const groundingDinoObservation: ObservationRules = {
  maskLimit: 1e8,
  validRows: { value: 'text_token_mask', dimensions: ['batch', 'tokens'] },
};
