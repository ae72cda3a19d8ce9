/** A request for gradients: the loss, the parameters, and where the reverse pass stops or computes values again. */
import type { SegmentOf } from './recompute.ts';
import type { Rule } from './rule.ts';

/** The options of `differentiate`. Values are named as in the graph. */
export interface Differentiation {
  /** The scalar whose gradients are computed. */
  readonly loss: string;
  /** The values by which the loss is differentiated: as a rule float inputs or initializers. */
  readonly parameters: readonly string[];
  /** Values that count as constants, so that no gradient passes through them. */
  readonly detached?: Iterable<string> | undefined;
  /**
   * Rules for operators and functions of other domains, by `domain::name`. They take precedence over the
   * differentiation of a function's body.
   */
  readonly rules?: Readonly<Record<string, Rule>> | undefined;
  /** Segments of the graph whose values are computed again in the backward pass instead of being kept. */
  readonly recompute?: SegmentOf | undefined;
}

/**
 * Returns the name of the output that holds the gradient of the value `parameter`.
 * @example
 * gradientName('weight'); // 'weight.gradient'
 */
export const gradientName = (parameter: string): string => `${parameter}.gradient`;
