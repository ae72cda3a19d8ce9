/** Open-vocabulary detection: finds phrases in images. The prompt is encoded once for any number of images. */
import { CallQueue } from '../base/call-queue.ts';
import {
  abortSignal,
  checkOptions,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
  wholeNumber,
} from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { Image } from '../data/image.ts';
import type { Phrases } from '../data/phrases.ts';
import { type PreparedImages, Preprocessor } from '../data/preprocess.ts';
import { checkImage } from '../data/rgb-image.ts';
import type { Size } from '../data/size.ts';
import type { DetectionFamily, Prompt, PromptChunk, ScoredBox } from '../models/detection-family.ts';
import { detectionOf } from '../models/family.ts';
import { type FixedPrompt, listed, readFixedPrompt } from '../models/fixed-prompt.ts';
import type { NamedOutputs } from '../models/named-outputs.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer, type Tokenizer } from '../models/tokenizer.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type SessionOptions, sessionSchemas } from '../runtime/options.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { type BoxSelection, checkSelection, minimumScore, selectBoxes } from './select-boxes.ts';

/** A box that was found. */
export interface Detection extends ScoredBox {
  /** The phrase as the caller gave it. */
  readonly label: string;
}

/** A chunk of a prompt, with the inputs of the model that depend on it alone. */
export interface EncodedChunk {
  /** The tokens and the phrases of the chunk. */
  readonly chunk: PromptChunk;
  /** Inputs of the detection half of the model. */
  readonly feeds: Feeds;
}

/** A prompt that was run through the text half of the model. Long prompts have several chunks. */
export interface EncodedPrompt {
  /** The phrases. */
  readonly prompt: Prompt;
  /** The chunks, each of which is a run of the detection half. */
  readonly chunks: readonly EncodedChunk[];
}

/** Options of `Detector.create`. All but `maxWaiting` are passed to ONNX Runtime. */
export interface DetectorOptions extends Pick<SessionOptions, 'threads' | 'providers' | 'config' | 'optimization'> {
  /**
   * The number of calls of `detect` and `rank` that may wait while others run; 1024 by default. The next one is refused, so that
   * a server with more work than it can do says so before its memory is full.
   */
  readonly maxWaiting?: number | undefined;
}

const detectorSchemas: OptionSchemas<DetectorOptions> = {
  threads: sessionSchemas.threads,
  providers: sessionSchemas.providers,
  config: sessionSchemas.config,
  optimization: sessionSchemas.optimization,
  maxWaiting: optional(wholeNumber(0)),
};

const packageSchema = objectWith('what `readPackage` returned', 'model', 'family', 'preprocessing', 'tokenizer');
const promptSchema = objectWith('what `encodePrompt` returned, not the phrases themselves', 'prompt', 'chunks');
const preparedSchema = objectWith('what `prepare` returned', 'pixelValues', 'validPixels');
const signalSchema = optional(abortSignal);

/** Calls that run at once: Node.js has four threads for native work unless it is told otherwise. */
const CALLS_AT_ONCE = 4;
const MAX_WAITING = 1024;

/**
 * A loaded detector. It holds ONNX Runtime sessions until it is closed: by `close`, or at the end of the block in which it was
 * declared with `await using`.
 * @example
 * const detector = await Detector.create(await readPackage('detector.onnx'));
 * const prompt = await detector.encodePrompt(['person', 'hard hat']);
 * const found = await detector.detect(await readImage('photo.jpg'), prompt);
 * await detector.close();
 */
export class Detector implements AsyncDisposable {
  /** The text half; undefined for a model of fixed phrases. */
  readonly #text: Session | undefined;
  readonly #detect: Session;
  readonly #preprocessor: Preprocessor;
  readonly #tokenizer: Tokenizer;
  readonly #family: DetectionFamily;
  readonly #queue: CallQueue;
  /** The number of tokens that a specialised model takes; undefined if it takes any number. */
  readonly #fixedText: number | undefined;
  /** The prompt of a model for fixed phrases. */
  readonly #fixedPrompt: FixedPrompt | undefined;

  private constructor(
    text: Session | undefined,
    detect: Session,
    preprocessor: Preprocessor,
    tokenizer: Tokenizer,
    family: DetectionFamily,
    { fixedPrompt, maxWaiting }: { fixedPrompt: FixedPrompt | undefined; maxWaiting: number },
  ) {
    this.#queue = new CallQueue(CALLS_AT_ONCE, maxWaiting);
    this.#fixedText = text && family.fixedPromptLength(text.inputs);
    this.#fixedPrompt = fixedPrompt;
    this.#text = text;
    this.#detect = detect;
    this.#preprocessor = preprocessor;
    this.#tokenizer = tokenizer;
    this.#family = family;
  }

  /**
   * Loads a model. dino8's kernels are used if they were built.
   *
   * @throws UsageError if the model is no detector or an option is not possible; InputError or RuntimeError if it does not load
   */
  static async create(modelPackage: ModelPackage, options: DetectorOptions = {}): Promise<Detector> {
    checkValue('The model', packageSchema, modelPackage);
    checkOptions('Detector.create', detectorSchemas, options);
    const { model, preprocessing, source } = modelPackage;
    const { maxWaiting = MAX_WAITING, ...others } = options;
    const family = detectionOf(modelPackage);
    const settings: SessionOptions = { ...others, ...kernelOptions() };
    const tokenizer = createTokenizer(modelPackage.tokenizer, source);
    const load = (part: Model) => Session.create(modelBytes(part), settings, source);
    const fixed = readFixedPrompt(model);
    const text = fixed ? undefined : await load(family.extractHalf(model, 'text'));
    const detect = await load(fixed ? model : family.extractHalf(model, 'detect'));
    const preprocessor = await Preprocessor.create(preprocessing, options.threads);
    return new Detector(text, detect, preprocessor, tokenizer, family, { fixedPrompt: fixed, maxWaiting });
  }

  /**
   * Encodes a prompt.
   * @param phrases a list, or one text with phrases separated by commas or periods; in a list, `{ exact: 'St. Bernard' }` is
   * one phrase whatever punctuation it has. A model for fixed phrases takes none, or its own
   * @returns the encoded prompt; `prompt.warnings` says which phrases the model will hardly find or cannot tell apart
   * @param signal stops between two parts of a prompt that is too long for one
   * @throws UsageError if there is no phrase, or one that holds several phrases or is too long for the model; the reason of
   * `signal` if it was aborted
   */
  async encodePrompt(phrases?: Phrases, signal?: AbortSignal): Promise<EncodedPrompt> {
    checkValue('The signal', signalSchema, signal);
    if (this.#fixedPrompt) return this.#ownPrompt(this.#fixedPrompt, phrases);
    if (phrases === undefined)
      throw new UsageError(
        'There are no phrases to look for; name some with `phrases`, as in "red circle, blue square".',
      );
    const prompt = this.#family.createPrompt(phrases, this.#tokenizer, this.#fixedText);
    const chunks: EncodedChunk[] = [];
    for (const chunk of prompt.chunks) {
      signal?.throwIfAborted();
      chunks.push({ chunk, feeds: await this.#encodeChunk(chunk) });
    }
    return { prompt, chunks };
  }

  /** The prompt of a model for fixed phrases. @throws UsageError if other phrases are asked for */
  #ownPrompt({ phrases: own, chunk }: FixedPrompt, phrases: Phrases | undefined): EncodedPrompt {
    const asked = phrases === undefined ? undefined : this.#family.createPrompt(phrases, this.#tokenizer);
    const isOwn = asked === undefined || JSON.stringify(asked.chunks) === JSON.stringify([chunk]);
    if (!isOwn)
      throw new UsageError(
        `The model is made for the phrases ${listed(own)} in this order; leave out \`phrases\`, or use the model that it was made from.`,
      );
    const prompt: Prompt = { phrases: asked?.phrases ?? own, chunks: [chunk], warnings: [] };
    return { prompt, chunks: [{ chunk, feeds: {} }] };
  }

  async #encodeChunk(chunk: PromptChunk): Promise<Feeds> {
    if (!this.#text) throw new Error('a model for fixed phrases has no text half');
    using outputs = await this.#text.run(this.#family.textFeeds(chunk, this.#fixedText));
    return this.#family.promptFeeds(chunk, outputs, this.#fixedText);
  }

  /**
   * Prepares one image as the model's input.
   * @throws UsageError if the image has no pixels, or not as many as its size says; RuntimeError if there is not enough memory
   */
  async prepare(image: Image): Promise<PreparedImages> {
    checkImage(image);
    return this.#preprocessor.prepare([image]);
  }

  /**
   * Finds the phrases of a prompt in an image.
   * @param selection which boxes are kept, or the score from 0 to 1 below which boxes are left out
   * @returns boxes as left, top, width and height in pixels of the image, the best first
   * @throws UsageError if a limit of the selection or the image is not possible; InputError if too many calls wait; RuntimeError if the model does not run, for instance on an
   * image of another size than that of a specialised model; and the reason of `signal` if it was aborted
   */
  async detect(
    image: Image,
    prompt: EncodedPrompt,
    selection: BoxSelection | number = {},
    signal?: AbortSignal,
  ): Promise<Detection[]> {
    const asked = typeof selection === 'number' ? { threshold: selection } : selection;
    checkSelection(asked);
    const boxes = await this.#perChunk(
      image,
      prompt,
      (outputs, chunk) => this.#family.groundedBoxes(outputs, chunk, image, minimumScore(asked)),
      signal,
    );
    return selectBoxes(boxes, asked).map((box) => ({ ...box, label: prompt.prompt.phrases[box.phrase] ?? '' }));
  }

  /**
   * Returns the `count` best pairs of a box and a phrase, without threshold or suppression, as COCO's protocol needs them.
   * @throws UsageError, InputError, RuntimeError and the reason of `signal`, as `detect`
   */
  async rank(image: Image, prompt: EncodedPrompt, count: number, signal?: AbortSignal): Promise<ScoredBox[]> {
    checkValue('`count`', wholeNumber(1), count);
    const score = (outputs: NamedOutputs, chunk: PromptChunk) => this.#family.rankedBoxes(outputs, chunk, image, count);
    const boxes = await this.#perChunk(image, prompt, score, signal);
    return boxes.slice(0, count);
  }

  /**
   * Runs the model on a prepared image and an encoded prompt.
   * @returns the seconds that the run took
   * @throws RuntimeError if the model does not run
   */
  async time(prepared: PreparedImages, prompt: EncodedPrompt): Promise<number> {
    checkValue('The prepared image', preparedSchema, prepared);
    checkValue('The prompt', promptSchema, prompt);
    const start = performance.now();
    for (const { feeds } of prompt.chunks) (await this.#run(prepared, feeds)).dispose();
    return (performance.now() - start) / 1000;
  }

  async #perChunk(
    image: Image & Size,
    prompt: EncodedPrompt,
    score: (outputs: NamedOutputs, chunk: PromptChunk) => ScoredBox[],
    signal?: AbortSignal,
  ): Promise<ScoredBox[]> {
    checkValue('The prompt', promptSchema, prompt);
    checkValue('The signal', signalSchema, signal);
    checkImage(image);
    const found = await this.#queue.run(async () => {
      const prepared = await this.prepare(image);
      const boxes: ScoredBox[] = [];
      for (const { chunk, feeds } of prompt.chunks) {
        using outputs = await this.#run(prepared, feeds, signal);
        // One by one: a spread of very many would exhaust the stack.
        for (const box of score(outputs, chunk)) boxes.push(box);
      }
      return boxes;
    }, signal);
    return prompt.chunks.length > 1 ? found.sort((a, b) => b.score - a.score) : found;
  }

  #run(prepared: PreparedImages, feeds: Feeds, signal?: AbortSignal) {
    const images = this.#family.imageFeeds(prepared, (name) => this.#detect.inputs.has(name));
    return this.#detect.run({ ...images, ...feeds }, { signal });
  }

  /** Waits for the runs that are under way, and releases the sessions. Later calls are errors. */
  async close(): Promise<void> {
    await Promise.all([this.#text?.close(), this.#detect.close(), this.#preprocessor[Symbol.asyncDispose]()]);
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
