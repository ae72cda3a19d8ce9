/**
 * `dino8/evaluate`: average precision, and comparing, inspecting and timing models that are in memory.
 *
 * @packageDocumentation
 */
export type { Journal, JournalKey, JournalOptions } from './base/json-lines.ts';
export type { Estimate } from './base/statistics.ts';
export { type Accuracy, type AccuracyMeasure, detectionAccuracy } from './evaluate/accuracy.ts';
export type { ActivationRange, ActivationRanges } from './evaluate/activation-ranges.ts';
export { averagePrecision } from './evaluate/average-precision.ts';
export {
  type BootstrapOptions,
  bootstrapScores,
  type FigureMap,
  type ScoreEstimates,
  type ScoreIntervals,
} from './evaluate/bootstrap.ts';
export type { CocoDetection } from './evaluate/coco-detection.ts';
export type { Area } from './evaluate/coco-settings.ts';
export {
  type CompareOptions,
  type Comparison,
  compareModels,
  type LayerNoise,
  type SampleDifference,
} from './evaluate/compare.ts';
export {
  type ModuleContribution,
  NO_MODULE,
  type PrecisionContribution,
  type PrecisionSummary,
  type Saving,
} from './evaluate/contribution.ts';
export {
  type DatasetIdentity,
  identifyDataset,
  identifyLabels,
  type LabelsIdentity,
} from './evaluate/dataset-identity.ts';
export { readDetections, writeDetections } from './evaluate/detections-file.ts';
export { analyzeErrors, type ErrorAnalysis, type ErrorGain } from './evaluate/errors/error-gains.ts';
export { ERROR_CAUSES, type ErrorCause } from './evaluate/errors/find-errors.ts';
export {
  type ByGroup,
  type ChangedCount,
  type ChangeOf,
  type Confusion,
  type FoundChange,
  type FoundCount,
  type FoundObjects,
  findChange,
  findObjects,
} from './evaluate/errors/found-objects.ts';
export { OCCLUSIONS, type OcclusionGroup, SIZES, type SizeGroup } from './evaluate/errors/object-groups.ts';
export {
  type EvaluationEntry,
  type EvaluationJournal,
  type EvaluationJournalOptions,
  openEvaluationJournal,
} from './evaluate/evaluation-journal.ts';
export { type FederatedFigures, type FederatedResult, federatedPrecision } from './evaluate/federated.ts';
export {
  type Inspection,
  type InspectOptions,
  inspectModel,
  type ModuleCost,
  type SensitiveCost,
} from './evaluate/inspect.ts';
export type { MachinePeak } from './evaluate/machine-peak.ts';
export {
  type AreaMatches,
  type CategoryMatches,
  type Matches,
  matchDetections,
  type ScoreOptions,
} from './evaluate/matches.ts';
export { type Measurement, type MeasureOptions, measure } from './evaluate/measure.ts';
export type { ModelProfile, ProfiledModule, ProfiledOperator } from './evaluate/model-profile.ts';
export type {
  AbsentScore,
  ParaphraseScore,
  ParaphraseScores,
  SeenScores,
  VocabularyNumber,
} from './evaluate/open-vocabulary.ts';
export {
  type Candidate,
  DEFAULT_ALLOWED_DROP,
  type Decision,
  type DropStatus,
  type JudgedVariant,
  type Recommendation,
  recommendVariant,
} from './evaluate/recommendation.ts';
export { createFeedsTimer, createVariantTimer, type VariantTimer } from './evaluate/relative-timer.ts';
export { type DatasetScore, type ScoreDatasetOptions, scoreDataset } from './evaluate/score-dataset.ts';
export { type CocoFigures, type CocoResult, scoreMatches } from './evaluate/score-matches.ts';
export {
  GRANULARITIES,
  type Granularity,
  measureSensitivity,
  type PartSensitivity,
  type Sensitivity,
  type SensitivityOptions,
} from './evaluate/sensitivity.ts';
export type { ComparedPrompt, LogitDrift, PhraseDrift, TokenDrift } from './evaluate/token-drift.ts';
export { type Mixture, type Tuned, type TuneOptions, tune } from './evaluate/tune.ts';
