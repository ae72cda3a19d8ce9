/** dino8 as a library: what the command line is made of. */

export { differentiate } from './autodiff/differentiate.ts';
export { type Differentiation, gradientName } from './autodiff/differentiation.ts';
export { Dino8Error, InputError, UsageError } from './base/errors.ts';
export type { OnProgress, Progress, WorkOptions } from './base/progress.ts';
export { type CalibrationItem, type CalibrationPlan, planCalibration } from './data/calibration-plan.ts';
export { type CocoAnnotations, type CocoDataset, openCoco, readAnnotations, takeImages } from './data/coco.ts';
export { decodeImage, type Image, readImage } from './data/image.ts';
export { Preprocessor } from './data/preprocess.ts';
export { calibrationFeeds, calibrationSamples } from './detect/calibration-feeds.ts';
export {
  DEFAULT_THRESHOLD,
  type Detection,
  Detector,
  type DetectorOptions,
  type EncodedPrompt,
} from './detect/detector.ts';
export {
  averagePrecision,
  type CocoFigures,
  type CocoResult,
} from './evaluate/average-precision.ts';
export type { CocoDetection } from './evaluate/coco-detection.ts';
export { type Comparison, compareModels } from './evaluate/compare.ts';
export { type Inspection, inspectModel, type ModuleCost } from './evaluate/inspect.ts';
export { type Measurement, measure } from './evaluate/measure.ts';
export { type DatasetScore, scoreDataset } from './evaluate/score-dataset.ts';
export { measureSensitivity, type Sensitivity } from './evaluate/sensitivity.ts';
export { type Tuned, tune } from './evaluate/tune.ts';
export { readSafetensors } from './models/checkpoint/safetensors.ts';
export type { Box, DetectionFamily, Prompt, PromptChunk, ScoredBox } from './models/detection-family.ts';
export {
  type BlankFeedOptions,
  detectionOf,
  type LoadedModel,
  type ModelFamily,
  type OutputDifference,
  type SensitivePart,
  sizesOf,
  trainingOf,
} from './models/family.ts';
export { type LoadedCheckpoint, readHuggingFace } from './models/grounding-dino/checkpoint/hugging-face.ts';
export { combinedFeeds } from './models/grounding-dino/combined-feeds.ts';
export { type Config, parseConfig } from './models/grounding-dino/config.ts';
export { buildModel, extractHalf } from './models/grounding-dino/grounding-dino.ts';
export { rankedBoxes } from './models/grounding-dino/postprocess.ts';
export { initialWeights } from './models/grounding-dino/training/initial-weights.ts';
export {
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  readCheckpoint,
  readPackage,
  writePackage,
} from './models/package/package.ts';
export { type InputSize, type SizeRules, specialize } from './models/specialize.ts';
export type { TrainingFamily } from './models/training-family.ts';
export { GraphBuilder, type Value } from './onnx/builder.ts';
export { inferShapes } from './onnx/infer/infer.ts';
export { type Model, parseModel, readModel } from './onnx/read.ts';
export { modelBytes, writeModel } from './onnx/write.ts';
export { type ApplyOptions, applyRecipe } from './pipeline/apply-recipe.ts';
export { type CalibrateDatasetOptions, calibrateDataset } from './pipeline/calibrate-dataset.ts';
export { planQuantizedTraining } from './pipeline/plan-quantized-training.ts';
export { observableValues } from './quant/observable-values.ts';
export { calibrate, type Statistics } from './quant/observe/calibrate.ts';
export {
  listedSamples,
  NO_RULES,
  type ObservationRules,
  type Sample,
  type SampleSource,
} from './quant/observe/sample.ts';
export {
  type Calibration,
  mergeCalibrations,
  readStatistics,
  writeStatistics,
} from './quant/observe/statistics-file.ts';
export {
  type PlanCounts,
  type PlanOptions,
  planQuantization,
  type QuantizationPlan,
  valuesToObserve,
} from './quant/plan.ts';
export type { PlanEntry, PlannedActivation, PlannedWeight } from './quant/plan-entry.ts';
export { type Quantized, type QuantizeOptions, quantizeModel } from './quant/quantize.ts';
export { bundledRecipes, parseRecipe, type Recipe, readRecipe } from './quant/recipe.ts';
export { type RangeSources, resolveRanges } from './quant/resolve-ranges.ts';
export { type LintResult, lintModel, type Unfused } from './quant/targets/ort-cpu/lint-ort-cpu.ts';
export type { LintReport, QuantizationTarget } from './quant/targets/target.ts';
export { findTarget, TARGET_NAMES, TARGETS } from './quant/targets/targets.ts';
export { RuntimeError } from './runtime/error.ts';
export { kernelOptions } from './runtime/kernels.ts';
export type { Provider, ProviderName, SessionOptions } from './runtime/options.ts';
export { type ProfiledNode, profileRun } from './runtime/profile.ts';
export { type Feeds, type Outputs, Session } from './runtime/session.ts';
export { booleans, floats, integers, type Tensor, tensor, tensorOf } from './runtime/tensor.ts';
export { type CreateTrainingOptions, createTraining, type Training } from './train/create-training.ts';
export type { QuantizedTraining } from './train/quantize-training.ts';
export {
  type RunOptions,
  type RunResult,
  runTraining,
  type TrainingScore,
} from './train/run-training.ts';
export { learningRate, type Schedule } from './train/schedule.ts';
export { buildStepModels, type StepModels } from './train/step-models.ts';
export { type StepReport, Trainer } from './train/trainer.ts';
export {
  resolveTrainingSettings,
  TRAINING_DEFAULTS,
  type TrainingKind,
  type TrainingOptions,
  type TrainingSettings,
} from './train/training-settings.ts';
export { writeCheckpoint } from './train/write-checkpoint.ts';
