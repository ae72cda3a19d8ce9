/**
 * Quantizes models, judges them, and detects objects with them. The steps of the pipeline are functions with one options
 * object each; the subpaths `dino8/onnx`, `dino8/runtime`, `dino8/autodiff`, `dino8/quant`, `dino8/models`,
 * `dino8/evaluate` and `dino8/train` have the parts that the steps are made of. `dino8/web` is the detector in browsers.
 *
 * @packageDocumentation
 */

// Errors, and the progress of work that takes long.

export type { Defaults } from './base/defaults.ts';
export { Dino8Error, InputError, MemoryError, UsageError } from './base/errors.ts';
export type { OnProgress, Progress, WorkOptions } from './base/progress.ts';
export type { Spread } from './base/statistics.ts';

// Making models: the steps from a checkpoint to a model in 8 bits.

export {
  BENCH_DEFAULTS,
  type BenchedModel,
  type BenchOptions,
  type BenchResult,
  bench,
} from './pipeline/bench-step.ts';
export type { BundleOptions, WrittenBundle } from './pipeline/bundles/bundle.ts';
export type { BundleEngine, BundlePrecision } from './pipeline/bundles/manifest.ts';
export {
  CALIBRATE_DEFAULTS,
  type CalibrateOptions,
  type CalibrateResult,
  calibrate,
  type MergeStatisticsOptions,
  mergeStatistics,
  type ValueDependence,
} from './pipeline/calibrate-step.ts';
export { CALIBRATION_DEFAULTS, type CalibrationOptions } from './pipeline/calibration-options.ts';
export { type ConvertOptions, convert, type WrittenModel } from './pipeline/convert-step.ts';
export { exportOpenVino } from './pipeline/openvino/export-openvino.ts';
export { type QatOptions, type QatResult, qat } from './pipeline/qat-step.ts';
export {
  type ExplainedLayer,
  type ExplainOptions,
  explainRecipe,
  type QuantizeResult,
  type QuantizeStepOptions,
  quantize,
} from './pipeline/quantize-step.ts';
export { type SpecializedModel, type SpecializeOptions, specializeModel } from './pipeline/specialize-step.ts';
export {
  type ExportTensorRtOptions,
  exportTensorRt,
  type TensorRtBundle,
} from './pipeline/tensorrt/export-tensorrt.ts';
export { type TrainResult, type TrainStepOptions, train } from './pipeline/train-step.ts';
export {
  type BestScore,
  type StepScore,
  TRAINING_RUN_DEFAULTS,
  type TrainingResult,
  type TrainingRunOptions,
  type TrainingStepOptions,
} from './pipeline/training-options.ts';
export { type ExportWebOptions, exportWeb, type WebPage, type WebRuntime } from './pipeline/web/export-web.ts';

// Judging models.

export type { BlankInputOptions } from './pipeline/blank-inputs.ts';
export { COMPARE_DEFAULTS, type CompareResult, type CompareStepOptions, compare } from './pipeline/compare-step.ts';
export {
  COMPRESS_DEFAULTS,
  type CompressedImage,
  type CompressedVariant,
  type CompressOptions,
  type CompressResult,
  type CompressTraining,
  RESULTS_FORMAT,
} from './pipeline/compress-options.ts';
export { compress } from './pipeline/compress-step.ts';
export {
  CONTRIBUTION_DEFAULTS,
  type ContributionOptions,
  type ContributionResult,
  contribution,
} from './pipeline/contribution-step.ts';
export { type DemoOptions, demo } from './pipeline/demo-step.ts';
export {
  ERRORS_DEFAULTS,
  type ErrorsResult,
  type ErrorsStepOptions,
  explainErrors,
} from './pipeline/errors-step.ts';
export { type EvaluateOptions, type EvaluateResult, evaluate } from './pipeline/evaluate-step.ts';
export { INSPECT_DEFAULTS, type InspectResult, type InspectStepOptions, inspect } from './pipeline/inspect-step.ts';
export type { DetectionSource, JudgedDetectionsOptions } from './pipeline/judged-detections.ts';
export { LINT_DEFAULTS, type LintStepOptions, type LintStepResult, lint } from './pipeline/lint-step.ts';
export {
  MEASURE_DEFAULTS,
  type MeasureInputsOptions,
  type MeasureResult,
  type MeasureStepOptions,
  measure,
  measureInProcess,
  measureInputs,
} from './pipeline/measure-step.ts';
export type { ResultSource } from './pipeline/report-sources.ts';
export { type ReportOptions, type ReportResult, report } from './pipeline/report-step.ts';
export { RESULT_FORMAT, RESULT_KINDS, type ResultOrigin } from './pipeline/result-origin.ts';
export {
  type CategoryScore,
  type ScoreResult,
  type ScoreStepOptions,
  score,
} from './pipeline/score-step.ts';
export {
  SENSITIVITY_DEFAULTS,
  type SensitivityResult,
  type SensitivityStepOptions,
  sensitivity,
} from './pipeline/sensitivity-step.ts';
export { TUNE_DEFAULTS, type TuneResult, type TuneStepOptions, tune } from './pipeline/tune-step.ts';
export { VOCABULARY_DEFAULTS, type VocabularyOptions } from './pipeline/vocabulary-options.ts';
export { type VocabularyResult, vocabulary } from './pipeline/vocabulary-step.ts';
export type { Provenance } from './report/provenance.ts';
export type { PublishedSize, PublishedSizeVariant } from './report/published-size.ts';
export type {
  Agreement,
  ErrorChange,
  NamedChange,
  NamedConfusion,
  ReportedVariant,
  Variant,
  VariantErrors,
} from './report/variants.ts';
export type { Verdict } from './report/verdict.ts';

// Detection.

export type { PictureFormat } from './data/file-kind.ts';
export { decodeImage, type Image, type ReadImageOptions, readImage } from './data/image.ts';
export type { NamedPrompts } from './data/named-prompts.ts';
export type { Paraphrases } from './data/paraphrases.ts';
export {
  categoryPhrases,
  cleanName,
  type ExactPhrase,
  type PhraseInput,
  type Phrases,
  splitPhrases,
} from './data/phrases.ts';
export { DEFAULT_MAX_PIXELS, type PixelLimitOptions } from './data/pixel-limit.ts';
export { readPhrases } from './data/read-phrases.ts';
export { readPrompts } from './data/read-prompts.ts';
export { annotateImage } from './detect/annotate.ts';
export {
  BaseDetector,
  type Detection,
  type DetectorParts,
  type EncodedChunk,
  type EncodedPrompt,
} from './detect/base-detector.ts';
export { Detector, type DetectorOptions } from './detect/detector.ts';
export { type BoxSelection, DEFAULT_THRESHOLD } from './detect/select-boxes.ts';
export type { FixedPrompt } from './models/fixed-prompt.ts';
export { DETECT_DEFAULTS, type DetectedImage, type DetectOptions, detect } from './pipeline/detect-step.ts';
export type { PictureBytes } from './pipeline/picture-sources.ts';

// Models, recipes and data sets, in files or in memory.

export { bundledCalibration, bundledModel, bundledValidation } from './data/bundled.ts';
export {
  type CocoAnnotation,
  type CocoAnnotations,
  type CocoCategory,
  type CocoDataset,
  type CocoImage,
  takeImages,
} from './data/coco.ts';
export { type CheckOptions, checkPictures } from './data/datasets/check-pictures.ts';
export { type ReadAnnotationsOptions, readAnnotations } from './data/datasets/coco-json.ts';
export type { Purpose, ReadDatasetOptions } from './data/datasets/dataset-options.ts';
export type { LeaveOutOptions } from './data/datasets/leave-out.ts';
export { picturesOnly } from './data/datasets/pictures-only.ts';
export { readDataset } from './data/datasets/read-dataset.ts';
export { type ImageSampleOptions, imageSamples } from './models/generic/image-samples.ts';
export { findTensorFiles, tensorSamples } from './models/generic/tensor-samples.ts';
export type { ModelIdentity } from './models/package/model-identity.ts';
export {
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  type ReadOptions,
  readCheckpoint,
  readPackage,
  writePackage,
} from './models/package/package.ts';
export { type InputSource, PICTURE_DEFAULTS, type PictureOptions } from './pipeline/samples.ts';
export type {
  AnyModelSource,
  DatasetFiles,
  DatasetOptions,
  DatasetSource,
  ModelSource,
  RecipeSource,
} from './pipeline/sources.ts';
export type { OverwriteOptions } from './pipeline/step-files.ts';
export { bundledRecipes, DEFAULT_RECIPE, parseRecipe, type Recipe, readRecipe } from './quant/recipe.ts';

// The functions by which the steps quantize, for callers who have a model and samples in memory.

export {
  type CalibrationItem,
  type CalibrationPlan,
  everyImage,
  planCalibration,
  shardOf,
} from './data/calibration-plan.ts';
export { calibrationFeeds, calibrationSamples, type FeedOptions, UnreadableImage } from './detect/calibration-feeds.ts';
export { type ApplyOptions, applyRecipe, type ObserveOptions } from './pipeline/apply-recipe.ts';
export { type CalibrateDatasetOptions, calibrateDataset } from './pipeline/calibrate-dataset.ts';

export type { ThreadOptions } from './runtime/threads.ts';

// This machine.

export { examineMachine, type MachineReport } from './pipeline/doctor-step.ts';
