/**
 * `dino8/autodiff`: turns the graph of a loss into the graph of its gradients.
 *
 * @packageDocumentation
 */
export { differentiate } from './autodiff/differentiate.ts';
export { type Differentiation, gradientName } from './autodiff/differentiation.ts';
export type { SegmentOf } from './autodiff/recompute.ts';
export {
  inputAt,
  type Rule,
  type RuleContext,
  rule,
  transposeMatrix,
  unbroadcast,
  zerosLike,
} from './autodiff/rule.ts';
