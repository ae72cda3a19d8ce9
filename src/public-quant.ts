/**
 * `dino8/quant`: the quantizer without the pipeline around it. Plans which values become integers, observes
 * activations, and rewrites the graph for a target.
 *
 * @packageDocumentation
 */
export type { Bias } from './quant/bias.ts';
export type { BlockBits } from './quant/block-weights/block-weight.ts';
export { type BlockWeightOptions, storeBlockWeights } from './quant/block-weights/store-block-weights.ts';
export { type HalfOptions, storeHalf } from './quant/half/store-half.ts';
export { matchesPath } from './quant/match-path.ts';
export { observableValues } from './quant/observable-values.ts';
export { type CalibrationOptions, calibrate, type Statistics } from './quant/observe/calibrate.ts';
export type { Histogram } from './quant/observe/histogram.ts';
export { DEFAULT_OBSERVER, estimateRange, type Observer, type ObserverKind } from './quant/observe/observer.ts';
export {
  listedSamples,
  NO_RULES,
  type ObservationRules,
  type Sample,
  type SampleSource,
} from './quant/observe/sample.ts';
export type { ChannelStatistic, LengthStatistic, Statistic } from './quant/observe/statistic.ts';
export {
  type Calibration,
  type CalibrationHead,
  mergeCalibrations,
  type ReadStatisticsOptions,
  readStatistics,
  type Shard,
  writeStatistics,
} from './quant/observe/statistics-file.ts';
export type { TextDependence } from './quant/observe/text-dependence.ts';
export {
  type Form,
  type GraphFacts,
  MODES,
  type Mode,
  type Port,
  type QuantizableNode,
  type StoredWeight,
} from './quant/operators/operator.ts';
export { findQuantizable, OPERATOR_NAMES, type Quantizable } from './quant/operators/operators.ts';
export {
  type PlanCounts,
  type PlanOptions,
  planQuantization,
  type QuantizationPlan,
  valuesToObserve,
} from './quant/plan.ts';
export type {
  LengthLookup,
  NumberedRule,
  Place,
  PlanEntry,
  PlannedActivation,
  PlannedClip,
  PlannedCorrection,
  PlannedWeight,
} from './quant/plan-entry.ts';
export {
  type FloatLayers,
  type PlanSummary,
  readPlanSummary,
  storePlanSummary,
  summarizePlan,
} from './quant/plan-summary.ts';
export { type Quantized, type QuantizeOptions, quantizeModel } from './quant/quantize.ts';
export {
  bundledRecipes,
  DEFAULT_RECIPE,
  parseRecipe,
  type Recipe,
  type Rule,
  readRecipe,
  type Technique,
  type TextRule,
} from './quant/recipe.ts';
export { type RangeSources, resolveRanges } from './quant/resolve-ranges.ts';
export { restrictPlan } from './quant/restrict-plan.ts';
export { type Affine, affineOf, type Range, type Scheme, type WeightScheme } from './quant/scheme.ts';
export { lintOperators, type Violation } from './quant/targets/lint-operators.ts';
export type {
  OperatorCheck,
  OperatorRule,
  OperatorTable,
  RuleEffect,
  RuntimeVersion,
} from './quant/targets/operator-table.ts';
export { type LintResult, lintModel, type Unfused } from './quant/targets/ort-cpu/lint-ort-cpu.ts';
export type {
  FloatGraph,
  LintFinding,
  LintOptions,
  LintReport,
  PlacingContext,
  QuantizationTarget,
  QuantizedValue,
} from './quant/targets/target.ts';
export { DEFAULT_TARGET, findTarget, TARGET_NAMES, TARGETS } from './quant/targets/targets.ts';
export type { Scales } from './quant/techniques/rounding.ts';
export type { Additions, QuantizedWeight, RoundedWeight } from './quant/weights.ts';
