/**
 * `dino8/models`: checkpoints, model families, and the building of their graphs.
 *
 * @packageDocumentation
 */
export {
  CHANNEL_ORDERS,
  type ChannelOrder,
  type ImageInputSettings,
  LAYOUTS,
  type Layout,
} from './data/image-input.ts';
export type { Box, LabelledBox } from './data/labelled-box.ts';
export type { PreparedImages } from './data/prepare-images.ts';
export { Preprocessor } from './data/preprocess.ts';
export { type Preprocessing, parsePreprocessing } from './data/preprocessing.ts';
export { RESAMPLING_FILTERS, type Resampling } from './data/resample.ts';
export type { Size, SizeRule } from './data/size.ts';
export type { Checkpoint, StoredTensor } from './models/checkpoint/checkpoint.ts';
export type { WeightOptions } from './models/checkpoint/choose-weights.ts';
export { readSafetensors } from './models/checkpoint/safetensors.ts';
export type {
  DetectionFamily,
  DetectionResults,
  DetectionSteps,
  Half,
  LogitDifference,
  PhraseSpan,
  Prompt,
  PromptChunk,
  PromptLayout,
  ScoredBox,
  TokenDifference,
} from './models/detection-family.ts';
export {
  type BlankFeedOptions,
  type CompanionDefaults,
  detectionOf,
  type LoadedModel,
  type ModelFamily,
  type OutputDifference,
  type OutputFigure,
  type SensitivePart,
  sizesOf,
  trainingOf,
} from './models/family.ts';
export type { FamilyCheckpoint } from './models/family-definition.ts';
export { type ImageSampleOptions, imageSamples } from './models/generic/image-samples.ts';
export { findTensorFiles, tensorSamples } from './models/generic/tensor-samples.ts';
export { type LoadedCheckpoint, readHuggingFace } from './models/grounding-dino/checkpoint/hugging-face.ts';
export { combinedFeeds } from './models/grounding-dino/combined-feeds.ts';
export { type Config, parseConfig } from './models/grounding-dino/config.ts';
export { type BuildOptions, buildModel, extractHalf, type GraphKind } from './models/grounding-dino/grounding-dino.ts';
export { type RawDetections, rankedBoxes } from './models/grounding-dino/postprocess.ts';
export { initialWeights } from './models/grounding-dino/training/initial-weights.ts';
export type { ModelModule } from './models/model-modules.ts';
export type { NamedOutputs } from './models/named-outputs.ts';
export {
  buildPackage,
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  type ReadOptions,
  readCheckpoint,
  readPackage,
  writePackage,
} from './models/package/package.ts';
export type { FileKey, FolderForm } from './models/package/package-folder.ts';
export { type InputSize, type SizeName, type SizeRules, specialize } from './models/specialize.ts';
export type { Tokenizer } from './models/tokenizer.ts';
export type { TokenizerFiles } from './models/tokenizer-schema.ts';
export type {
  DenoisingFamily,
  DenoisingQuery,
  DenoisingSettings,
  DistillationFamily,
  Head,
  LossParts,
  LossWeights,
  Parameter,
  ParameterTraits,
  Predictions,
  Targets,
  TrainingFamily,
  TrainingGraph,
  TrainingGraphOptions,
} from './models/training-family.ts';
