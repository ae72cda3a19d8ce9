/** The rules of calibration for GroundingDINO: masked scores and padded tokens are not data. */
import type { ObservationRules } from '../../quant/observe/sample.ts';
import { MASKED } from './network.ts';

/**
 * The network adds `MASKED` to scores that must not be attended to, and such sums are no data; scores that are not masked
 * stay far below a tenth of it. Where a value is
 * [batch, tokens, …], the tokens that only pad a prompt do not count.
 */
export const groundingDinoObservation: ObservationRules = {
  maskLimit: Math.abs(MASKED) / 10,
  validRows: { value: 'text_token_mask', dimensions: ['batch', 'tokens'] },
};
