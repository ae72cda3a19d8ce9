/** The detector in a browser, where dino8's engine or onnxruntime-web runs it. */
import {
  checkOptions,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
  wholeNumber,
} from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { prepareImages } from '../data/prepare-images.ts';
import { BaseDetector, type DetectorParts, MAX_WAITING } from '../detect/base-detector.ts';
import { findDetectionSteps } from '../models/detection-steps.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { RuntimeError } from '../runtime/error.ts';
import type { ModelRunner } from '../runtime/model-runner.ts';
import { BACKENDS, type Backend, type FloatBits, type WebPackage } from './manifest.ts';
import { loaderOf, type ModelLoader } from './model-loader.ts';
import type { OnnxRuntimeWeb } from './onnx-runtime.ts';

/** Options of `Detector.create`. */
export interface DetectorOptions {
  /**
   * onnxruntime-web: what `import * as runtime from 'onnxruntime-web/wasm'` gives, or another of its builds. Models that bring dino8's engine
   * along do not need it: those that are quantized.
   */
  readonly runtime?: OnnxRuntimeWeb | undefined;
  /**
   * The number of threads. By default one for each core, up to eight, on a page that is isolated from others, and a
   * single one on all other pages, which may not have more.
   */
  readonly threads?: number | undefined;
  /** The number of calls of `detect` and `rank` that may wait while one runs; 1024 by default. The next one is refused. */
  readonly maxWaiting?: number | undefined;
}

const detectorSchemas: OptionSchemas<DetectorOptions> = {
  runtime: optional(objectWith('onnxruntime-web, as `import * as` gives it', 'env', 'InferenceSession', 'Tensor')),
  threads: optional(wholeNumber(1, 64)),
  maxWaiting: optional(wholeNumber(0)),
};

const packageSchema = objectWith('what `readPackage` of dino8/web returned', 'manifest', 'files');

/**
 * A loaded detector in a browser. Create it in a worker: while it runs, its thread does nothing else.
 * @example
 * const detector = await Detector.create(await readPackage('model/'));
 * const prompt = await detector.encodePrompt(['person', 'hard hat']);
 * const photo = await (await fetch('photo.jpg')).blob();
 * const found = await detector.detect(await readImage(photo), prompt);
 */
export class Detector extends BaseDetector {
  /** The number of threads that it runs on. */
  readonly threads: number;
  /** Where it runs: in WebAssembly or on the graphics processor. */
  readonly backend: Backend;
  /** Whether dino8's engine runs it; otherwise onnxruntime-web does. */
  readonly hasEngine: boolean;

  readonly #loader: ModelLoader;

  private constructor(parts: DetectorParts, loader: ModelLoader, { manifest, engine }: WebPackage) {
    super(parts);
    this.#loader = loader;
    this.threads = loader.threads;
    this.backend = manifest.backend;
    this.hasEngine = engine !== undefined;
  }

  /**
   * Loads a model.
   *
   * @throws UsageError if an option is not possible on this page; RuntimeError if the browser lacks what the model needs, or if the
   * model does not load; MemoryError if there is too little memory for it; InputError if the package is damaged
   */
  static async create(modelPackage: WebPackage, options: DetectorOptions = {}): Promise<Detector> {
    checkValue('The model', packageSchema, modelPackage);
    checkOptions('Detector.create', detectorSchemas, options);
    const { source, files, manifest } = modelPackage;
    const { maxWaiting = MAX_WAITING } = options;
    const { backend, floats, preprocessing, prompts: fixedPrompts = [] } = manifest;
    const steps = findDetectionSteps(manifest.config, source);
    const tokenizer = createTokenizer(manifest.tokenizer, source);
    await checkBackend(backend, floats);
    const loader = await loaderOf(modelPackage, options);
    const opened: ModelRunner[] = [];
    const load = async (model: Uint8Array, provider: Backend, steadyInputs?: readonly string[]) => {
      const session = await loader.load(model, provider, steadyInputs);
      opened.push(session);
      return session;
    };
    try {
      const text = files.text && (await load(files.text, 'wasm'));
      const detect = await load(files.detect, backend, steps.steadyInputs);
      const pixels = await load(files.pixels, 'wasm');
      const preparation = {
        prepare: (images: Parameters<typeof prepareImages>[0]) => prepareImages(images, preprocessing, pixels),
        close: () => pixels.close(),
      };
      return new Detector(
        { text, detect, preparation, tokenizer, steps, fixedPrompts, callsAtOnce: 1, maxWaiting },
        loader,
        modelPackage,
      );
    } catch (error) {
      // The browser does not free the memory of WebAssembly by itself.
      await Promise.all(opened.map((session) => session.close()));
      loader.close();
      throw error;
    }
  }

  /** Releases the models, and ends the threads of the engine. */
  override async close(): Promise<void> {
    await super.close();
    this.#loader.close();
  }
}

/** What is read of a graphics adapter. */
interface Adapter {
  readonly features: ReadonlySet<string>;
}

/** What is read of a browser's global scope. */
interface BrowserScope {
  readonly navigator?: { readonly gpu?: { requestAdapter(): Promise<Adapter | null> } };
}

/** The feature of WebGPU by which shaders compute in floats of 16 bits (https://www.w3.org/TR/webgpu/#shader-f16). */
const HALF_FLOATS = 'shader-f16';

/** @throws RuntimeError if the browser does not have the execution provider that a model is for, or not the floats that it computes in */
async function checkBackend(backend: Backend, floats: FloatBits): Promise<void> {
  if (!BACKENDS.includes(backend)) throw new UsageError(`There is no execution provider ${String(backend)}.`);
  if (backend !== 'webgpu') return;
  const { navigator } = globalThis as BrowserScope;
  const adapter = await navigator?.gpu?.requestAdapter();
  if (!adapter)
    throw new RuntimeError(
      'The model is for WebGPU, which this browser does not have; use a browser with WebGPU, or a model that was exported for wasm.',
    );
  if (floats === 16 && !adapter.features.has(HALF_FLOATS))
    throw new RuntimeError(
      `The model computes in floats of 16 bits, which the graphics processor of this browser does not have (${HALF_FLOATS}); use another device, or a model that was exported with floats of 32 bits.`,
    );
}
