/** dino8 as a library: what the command line is made of. */

export { type Differentiation, differentiate, gradientName } from './autodiff/differentiate.ts';
export { Dino8Error, InputError, UsageError } from './base/errors.ts';
export type { OnProgress, Progress, WorkOptions } from './base/progress.ts';
export { type CalibrationItem, type CalibrationPlan, planCalibration } from './data/calibration-plan.ts';
export { type CocoAnnotations, type CocoDataset, openCoco, readAnnotations, takeImages } from './data/coco.ts';
export { type ApplyOptions, applyRecipe } from './detect/apply-recipe.ts';
export { type CalibrateDatasetOptions, calibrateDataset } from './detect/calibrate-dataset.ts';
export { calibrationFeeds } from './detect/calibration-feeds.ts';
export { combinedFeeds } from './detect/combined-feeds.ts';
export {
  DEFAULT_THRESHOLD,
  type Detection,
  Detector,
  type DetectorOptions,
  type EncodedPrompt,
} from './detect/detector.ts';
export { decodeImage, type Image, readImage } from './detect/image.ts';
export { rankedBoxes } from './detect/postprocess.ts';
export { Preprocessor } from './detect/preprocess.ts';
export {
  averagePrecision,
  type CocoDetection,
  type CocoFigures,
  type CocoResult,
} from './evaluate/average-precision.ts';
export { type Comparison, compareModels } from './evaluate/compare.ts';
export { type Inspection, inspectModel, type ModuleCost } from './evaluate/inspect.ts';
export { type Measurement, measure } from './evaluate/measure.ts';
export { type DatasetScore, scoreDataset } from './evaluate/score-dataset.ts';
export { measureSensitivity, type Sensitivity } from './evaluate/sensitivity.ts';
export { type Tuned, tune } from './evaluate/tune.ts';
export { type LoadedCheckpoint, readHuggingFace } from './model/checkpoint/hugging-face.ts';
export { readSafetensors } from './model/checkpoint/safetensors.ts';
export { type Config, parseConfig } from './model/config.ts';
export { buildModel, extractHalf } from './model/grounding-dino.ts';
export {
  type CheckpointPackage,
  type ModelPackage,
  readCheckpoint,
  readPackage,
  writePackage,
} from './model/package.ts';
export { type InputSize, specialize } from './model/specialize.ts';
export { GraphBuilder, type Value } from './onnx/builder.ts';
export { inferShapes } from './onnx/infer/infer.ts';
export { type Model, parseModel, readModel } from './onnx/read.ts';
export { modelBytes, writeModel } from './onnx/write.ts';
export { type LintResult, lintModel, type Unfused } from './quant/lint.ts';
export { calibrate, type Sample, type Statistics } from './quant/observe/calibrate.ts';
export { type Calibration, mergeCalibrations, readRanges, writeRanges } from './quant/observe/ranges-file.ts';
export { type Quantized, quantizeModel, valuesToObserve } from './quant/quantize.ts';
export { bundledRecipes, parseRecipe, type Recipe, readRecipe } from './quant/recipe.ts';
export { observableValues } from './quant/targets.ts';
export { RuntimeError } from './runtime/error.ts';
export { kernelOptions } from './runtime/kernels.ts';
export type { Provider, ProviderName, SessionOptions } from './runtime/options.ts';
export { type ProfiledNode, profileRun } from './runtime/profile.ts';
export { type Feeds, type Outputs, Session } from './runtime/session.ts';
export { booleans, floats, integers, type Tensor, tensor, tensorOf } from './runtime/tensor.ts';
export { initialWeights } from './train/initialize.ts';
export { type RunOptions, runTraining } from './train/run-training.ts';
export { learningRate, type Schedule } from './train/schedule.ts';
export {
  createTraining,
  planQuantizedTraining,
  type QuantizedTraining,
  type TrainingSession,
  type TrainingSettings,
} from './train/session.ts';
export { buildStepModels, type StepModels } from './train/step-models.ts';
export { type StepReport, Trainer } from './train/trainer.ts';
export { writeCheckpoint } from './train/write-checkpoint.ts';
