/** The detector in Node.js, where ONNX Runtime's C API runs it with dino8's kernels. */
import {
  abortSignal,
  checkOptions,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
  wholeNumber,
} from '../base/check-options.ts';
import { Preprocessor } from '../data/preprocess.ts';
import { detectionOf } from '../models/family.ts';
import { readFixedPrompts } from '../models/fixed-prompt.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import type { Model } from '../onnx/read.ts';
import { splitOffInputs } from '../onnx/split-off-inputs.ts';
import { modelBytes } from '../onnx/write.ts';
import { CachingRunner } from '../runtime/caching-runner.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { ModelRunner } from '../runtime/model-runner.ts';
import { type SessionOptions, sessionSchemas } from '../runtime/options.ts';
import { Session } from '../runtime/session.ts';
import { BaseDetector, MAX_WAITING } from './base-detector.ts';

/**
 * Options of `Detector.create`. All but `maxWaiting` and `signal` are passed to ONNX Runtime. What depends on the mask of valid
 * pixels alone runs on the processor, whatever `providers` says: it is computed once for a mask.
 */
export interface DetectorOptions extends Pick<SessionOptions, 'threads' | 'providers' | 'config' | 'optimization'> {
  /**
   * The number of calls of `detect` and `rank` that may wait while others run; 1024 by default. The next one is refused, so that
   * a server with more work than it can do says so before its memory is full.
   */
  readonly maxWaiting?: number | undefined;
  /** Stops loading: before it begins and after each half of the model. What was loaded is closed. */
  readonly signal?: AbortSignal | undefined;
}

const detectorSchemas: OptionSchemas<DetectorOptions> = {
  threads: sessionSchemas.threads,
  providers: sessionSchemas.providers,
  config: sessionSchemas.config,
  optimization: sessionSchemas.optimization,
  maxWaiting: optional(wholeNumber(0)),
  signal: optional(abortSignal),
};

const packageSchema = objectWith('what `readPackage` returned', 'model', 'family', 'preprocessing', 'tokenizer');

/** Calls that run at once: Node.js has four threads for native work unless it is told otherwise. */
const CALLS_AT_ONCE = 4;

/**
 * The number of masks of valid pixels for which positions, masks and proposals are kept. Calls that run at once may have one
 * each, and none of them then takes the place of another's.
 */
const MASKS_KEPT = CALLS_AT_ONCE;

/**
 * A loaded detector. It holds ONNX Runtime sessions until it is closed: by `close`, or at the end of the block in which it was
 * declared with `await using`.
 * @example
 * const detector = await Detector.create(await readPackage('detector.onnx'));
 * const prompt = await detector.encodePrompt(['person', 'hard hat']);
 * const found = await detector.detect(await readImage('photo.jpg'), prompt);
 * await detector.close();
 */
export class Detector extends BaseDetector {
  /**
   * Loads a model. dino8's kernels are used if they were built.
   *
   * @throws UsageError if the model is no detector or an option is not possible; InputError or RuntimeError if it does not load;
   * the reason of `options.signal` if it was aborted
   */
  static async create(modelPackage: ModelPackage, options: DetectorOptions = {}): Promise<Detector> {
    checkValue('The model', packageSchema, modelPackage);
    checkOptions('Detector.create', detectorSchemas, options);
    const { model, preprocessing, source } = modelPackage;
    const { maxWaiting = MAX_WAITING, signal, ...others } = options;
    signal?.throwIfAborted();
    const steps = detectionOf(modelPackage);
    const settings: SessionOptions = { ...others, ...kernelOptions() };
    const tokenizer = createTokenizer(modelPackage.tokenizer, source);
    const opened: AsyncDisposable[] = [];
    const keep = async <T extends AsyncDisposable>(opening: Promise<T>): Promise<T> => {
      const part = await opening;
      opened.push(part);
      signal?.throwIfAborted();
      return part;
    };
    const load = (part: Model, overrides: SessionOptions = {}) =>
      keep(Session.create(modelBytes(part), { ...settings, ...overrides }, source));
    const loadDetect = async (half: Model): Promise<ModelRunner> => {
      const parts = splitOffInputs(half, steps.steadyInputs);
      if (!parts) return load(half);
      // The second part reads the results in memory of the processor, whichever provider runs it.
      const first = await load(parts.first, { providers: ['cpu'] });
      const inputs = half.graph.input.map(({ name }) => name);
      return new CachingRunner(first, await load(parts.second), { inputs, capacity: MASKS_KEPT });
    };
    const fixedPrompts = readFixedPrompts(model);
    const isFixed = fixedPrompts.length > 0;
    try {
      const text = isFixed ? undefined : await load(steps.extractHalf(model, 'text'));
      const detect = await loadDetect(isFixed ? model : steps.extractHalf(model, 'detect'));
      const preprocessor = await keep(Preprocessor.create(preprocessing, options.threads));
      const preparation = {
        prepare: (images: Parameters<Preprocessor['prepare']>[0]) => preprocessor.prepare(images),
        close: () => preprocessor[Symbol.asyncDispose](),
      };
      return new Detector({
        text,
        detect,
        preparation,
        tokenizer,
        steps,
        fixedPrompts,
        callsAtOnce: CALLS_AT_ONCE,
        maxWaiting,
      });
    } catch (error) {
      await Promise.all(opened.map((part) => part[Symbol.asyncDispose]()));
      throw error;
    }
  }
}
