/**
 * Detection in a browser: the detector of `dino8`, for models that `dino8 export --target web` wrote. It is for bundlers and module
 * scripts. dino8's engine, which runs quantized models, is beside them; for others the page brings onnxruntime-web along, so that it decides which build is
 * loaded, and from where.
 *
 * @packageDocumentation
 */

import './web/disposal.ts';

export { Dino8Error, InputError, MemoryError, UsageError } from './base/errors.ts';
export type { OnProgress, Progress, WorkOptions } from './base/progress.ts';
export { type ExactPhrase, type PhraseInput, type Phrases, splitPhrases } from './data/phrases.ts';
export { DEFAULT_MAX_PIXELS, type PixelLimitOptions } from './data/pixel-limit.ts';
export type { Image } from './data/rgb-image.ts';
export {
  BaseDetector,
  type Detection,
  type DetectorParts,
  type EncodedChunk,
  type EncodedPrompt,
} from './detect/base-detector.ts';
export { type BoxSelection, DEFAULT_THRESHOLD } from './detect/select-boxes.ts';
export type { FixedPrompt } from './models/fixed-prompt.ts';
export { RuntimeError } from './runtime/error.ts';
export { Detector, type DetectorOptions } from './web/detector.ts';
export type { EngineVariant } from './web/engine/engine-variants.ts';
export type { Backend, FloatBits, WebFile, WebFiles, WebManifest, WebPackage } from './web/manifest.ts';
export type { OnnxRuntimeWeb } from './web/onnx-runtime.ts';
export { canUseThreads } from './web/possible-threads.ts';
export { type ReadImageOptions, readImage } from './web/read-image.ts';
export { type ReadPackageOptions, readPackage } from './web/read-package.ts';
