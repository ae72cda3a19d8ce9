/**
 * Quantizes models, judges them, and detects objects with them. The steps of the pipeline are functions with one options
 * object each; the subpaths `dino8/onnx`, `dino8/runtime`, `dino8/autodiff`, `dino8/quant`, `dino8/models`,
 * `dino8/evaluate` and `dino8/train` have the parts that the steps are made of.
 *
 * @packageDocumentation
 */

// Errors, and the progress of work that takes long.
export { Dino8Error, InputError, UsageError } from './base/errors.ts';
export type { OnProgress, Progress, WorkOptions } from './base/progress.ts';
// Data sets.
export { bundledCalibration, bundledModel, bundledValidation } from './data/bundled.ts';
export {
  type CalibrationItem,
  type CalibrationPlan,
  everyImage,
  planCalibration,
  shardOf,
} from './data/calibration-plan.ts';
export {
  type CocoAnnotation,
  type CocoAnnotations,
  type CocoCategory,
  type CocoDataset,
  type CocoImage,
  openCoco,
  readAnnotations,
  takeImages,
} from './data/coco.ts';
// Detection.
export { decodeImage, type Image, readImage } from './data/image.ts';
export { annotateImage } from './detect/annotate.ts';
export { calibrationFeeds, calibrationSamples, type FeedOptions, UnreadableImage } from './detect/calibration-feeds.ts';
export {
  DEFAULT_THRESHOLD,
  type Detection,
  Detector,
  type DetectorOptions,
  type EncodedChunk,
  type EncodedPrompt,
} from './detect/detector.ts';
// Models and checkpoints.
export {
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  readCheckpoint,
  readPackage,
  writePackage,
} from './models/package/package.ts';
// Recipes and their application.
export { type ApplyOptions, applyRecipe } from './pipeline/apply-recipe.ts';
export { type CalibrateDatasetOptions, calibrateDataset } from './pipeline/calibrate-dataset.ts';
export { bundledRecipes, parseRecipe, type Recipe, readRecipe } from './quant/recipe.ts';
