/**
 * Open-vocabulary detection: finds phrases in images. The prompt is encoded once for any number of images. This part is the same
 * wherever ONNX Runtime runs: in Node.js (`detector.ts`) and in a browser (`web/detector.ts`).
 */
import { CallQueue } from '../base/call-queue.ts';
import { abortSignal, checkValue, objectWith, optional, text, wholeNumber } from '../base/check-options.ts';
import { InputError, UsageError } from '../base/errors.ts';
import type { Phrases } from '../data/phrases.ts';
import type { PreparedImages } from '../data/prepare-images.ts';
import { checkImage, type Image } from '../data/rgb-image.ts';
import type { Size } from '../data/size.ts';
import type { DetectionSteps, Prompt, PromptChunk, ScoredBox } from '../models/detection-family.ts';
import { type FixedPrompt, findFixedPrompt, promptsInWords, requireChoice } from '../models/fixed-prompt.ts';
import type { NamedOutputs } from '../models/named-outputs.ts';
import type { Tokenizer } from '../models/tokenizer.ts';
import type { ModelRunner } from '../runtime/model-runner.ts';
import type { Feeds } from '../runtime/session.ts';
import { refuseNaN } from './refuse-nan.ts';
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

const promptSchema = objectWith('what `encodePrompt` returned, not the phrases themselves', 'prompt', 'chunks');
const preparedSchema = objectWith('what `prepare` returned', 'pixelValues', 'validPixels');
const tensorSchema = objectWith('a tensor, as `prepare` returned it', 'shape');
const signalSchema = optional(abortSignal);

/** The parts of a detector: the sessions that run its model, and the steps around the runs. */
export interface DetectorParts {
  /** Runs the half `text`; undefined for a model of fixed phrases. */
  readonly text: ModelRunner | undefined;
  /** Runs the half `detect`. */
  readonly detect: ModelRunner;
  /** Prepares images as inputs of the half `detect`. */
  readonly preparation: {
    /** Prepares one batch. */
    prepare(images: readonly Image[]): Promise<PreparedImages>;
    /** Frees what it holds. */
    close(): Promise<void>;
  };
  /** The tokenizer of the model. */
  readonly tokenizer: Tokenizer;
  /** Make the inputs of the runs from prompts and images, and boxes from their results. */
  readonly steps: DetectionSteps;
  /** The prompts of a model for fixed phrases; none if it takes any. */
  readonly fixedPrompts: readonly FixedPrompt[];
  /** The number of calls that run at once. */
  readonly callsAtOnce: number;
  /** The number of calls that may wait. */
  readonly maxWaiting: number;
}

/** The default of the number of calls that may wait. */
export const MAX_WAITING = 1024;

/**
 * A loaded detector, whatever runs its models. `Detector.create` makes one.
 * @example
 * async function count(detector: BaseDetector, image: Image): Promise<number> {
 *   return (await detector.detect(image, await detector.encodePrompt('person'))).length;
 * }
 */
export abstract class BaseDetector implements AsyncDisposable {
  readonly #parts: DetectorParts;
  readonly #queue: CallQueue;
  /** The number of tokens that a specialised model takes; undefined if it takes any number. */
  readonly #fixedText: number | undefined;

  /** For a detector on another runtime. @throws InputError if the model does not take the choice of a prompt that it needs */
  protected constructor(parts: DetectorParts) {
    const { length } = parts.fixedPrompts;
    const takesChoice = Object.keys(parts.steps.promptChoice(0)).every((name) => parts.detect.inputs.has(name));
    if (length > 0 && takesChoice !== length > 1)
      throw new InputError(
        `The model has ${length === 1 ? 'one prompt' : `${length} prompts`} in its metadata, and ${takesChoice ? 'an' : 'no'} input that chooses a prompt; make it again.`,
      );
    this.#parts = parts;
    this.#queue = new CallQueue(parts.callsAtOnce, parts.maxWaiting);
    this.#fixedText = parts.text && parts.steps.fixedPromptLength(parts.text.inputs);
  }

  /** The prompts of a model for fixed phrases, with the names by which `namedPrompt` chooses one; none if it takes any phrases. */
  get prompts(): readonly FixedPrompt[] {
    return this.#parts.fixedPrompts;
  }

  /**
   * Returns the prompt of a model for fixed phrases that has a name.
   * @throws UsageError that lists the names if there is no such prompt
   */
  namedPrompt(name: string): EncodedPrompt {
    checkValue('The name of the prompt', text, name);
    return this.#fixedPrompt(findFixedPrompt(this.#parts.fixedPrompts, name));
  }

  /**
   * Encodes a prompt.
   * @param phrases a list, or one text with phrases separated by commas or periods; in a list, `{ exact: 'St. Bernard' }` is
   * one phrase whatever punctuation it has. A model for fixed phrases takes none, or its own; one for several prompts takes those of
   * one of them, or is asked by `namedPrompt`
   * @returns the encoded prompt; `prompt.warnings` says which phrases the model will hardly find or cannot tell apart
   * @param signal stops between two parts of a prompt that is too long for one
   * @throws UsageError if there is no phrase, or one that holds several phrases or is too long for the model; the reason of
   * `signal` if it was aborted
   */
  async encodePrompt(phrases?: Phrases, signal?: AbortSignal): Promise<EncodedPrompt> {
    checkValue('The signal', signalSchema, signal);
    if (this.#parts.fixedPrompts.length > 0) return this.#ownPrompt(phrases);
    if (phrases === undefined)
      throw new UsageError(
        'There are no phrases to look for; name some with `phrases`, as in "red circle, blue square".',
      );
    const prompt = this.#parts.steps.createPrompt(phrases, this.#parts.tokenizer, this.#fixedText);
    const chunks: EncodedChunk[] = [];
    for (const chunk of prompt.chunks) {
      signal?.throwIfAborted();
      chunks.push({ chunk, feeds: await this.#encodeChunk(chunk) });
    }
    return { prompt, chunks };
  }

  /** The prompt of a model for fixed phrases that has these. @throws UsageError if there is none, or several and none is asked for */
  #ownPrompt(phrases: Phrases | undefined): EncodedPrompt {
    const own = this.#parts.fixedPrompts;
    if (phrases === undefined) {
      requireChoice(own);
      return this.#fixedPrompt(0);
    }
    const asked = this.#parts.steps.createPrompt(phrases, this.#parts.tokenizer);
    const index = own.findIndex(({ chunk }) => JSON.stringify(asked.chunks) === JSON.stringify([chunk]));
    if (index >= 0) return this.#fixedPrompt(index, asked.phrases);
    const advice = own.length > 1 ? 'give those of one prompt' : 'leave out `phrases`';
    throw new UsageError(
      `The model is made for ${promptsInWords(own)} in this order; ${advice}, or use the model that it was made from.`,
    );
  }

  /** @param called the phrases as the caller gave them */
  #fixedPrompt(index: number, called?: readonly string[]): EncodedPrompt {
    const { fixedPrompts, steps } = this.#parts;
    const { phrases, chunk } = fixedPrompts[index] as FixedPrompt; // those that are there are looked for
    const feeds = fixedPrompts.length > 1 ? steps.promptChoice(index) : {};
    return { prompt: { phrases: called ?? phrases, chunks: [chunk], warnings: [] }, chunks: [{ chunk, feeds }] };
  }

  async #encodeChunk(chunk: PromptChunk): Promise<Feeds> {
    if (!this.#parts.text) throw new Error('a model for fixed phrases has no text half');
    using outputs = await this.#parts.text.run(this.#parts.steps.textFeeds(chunk, this.#fixedText));
    return this.#parts.steps.promptFeeds(chunk, outputs, this.#fixedText);
  }

  /**
   * Prepares one image as the model's input.
   * @throws UsageError if the image has no pixels, or not as many as its size says; RuntimeError if there is not enough memory
   */
  async prepare(image: Image): Promise<PreparedImages> {
    checkImage(image);
    return this.#parts.preparation.prepare([image]);
  }

  /**
   * Finds the phrases of a prompt in an image.
   * @param selection which boxes are kept, or the score from 0 to 1 below which boxes are left out
   * @returns boxes as left, top, width and height in pixels of the image, the best first
   * @throws UsageError if a limit of the selection or the image is not possible; InputError if too many calls wait, or if the model is made
   * for images of another size; RuntimeError if the model does not run or computes NaN; and the reason of `signal` if it was aborted
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
      (outputs, chunk) => this.#parts.steps.groundedBoxes(outputs, chunk, image, minimumScore(asked)),
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
    const score = (outputs: NamedOutputs, chunk: PromptChunk) =>
      this.#parts.steps.rankedBoxes(outputs, chunk, image, count);
    const boxes = await this.#perChunk(image, prompt, score, signal);
    return boxes.slice(0, count);
  }

  /**
   * Runs the model on a prepared image and an encoded prompt.
   * @returns the seconds that the run took
   * @throws UsageError if the image was not prepared, or the prompt not encoded; InputError if the model is made for images of another
   * size; RuntimeError if the model does not run
   */
  async time(prepared: PreparedImages, prompt: EncodedPrompt): Promise<number> {
    checkPrepared(prepared);
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
        refuseNaN(outputs, this.#parts.steps.results);
        // One by one: a spread of very many would exhaust the stack.
        for (const box of score(outputs, chunk)) boxes.push(box);
      }
      return boxes;
    }, signal);
    return prompt.chunks.length > 1 ? found.sort((a, b) => b.score - a.score) : found;
  }

  #run(prepared: PreparedImages, feeds: Feeds, signal?: AbortSignal) {
    const { inputs } = this.#parts.detect;
    const images = this.#parts.steps.imageFeeds(prepared, (name) => inputs.has(name));
    refuseOtherSize(images, inputs);
    return this.#parts.detect.run({ ...images, ...feeds }, { signal });
  }

  /** Waits for the runs that are under way, and releases the sessions. Later calls are errors. */
  async close(): Promise<void> {
    const { text, detect, preparation } = this.#parts;
    await Promise.all([text?.close(), detect.close(), preparation.close()]);
  }

  /** The same as `close`, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/**
 * Checks a prepared image that a caller gives. A model takes the sizes of its feature maps from the valid pixels, so that those of an image
 * of another size would give wrong boxes.
 * @throws UsageError if it is no prepared image, or if its pixels and its valid pixels differ in size
 */
function checkPrepared(prepared: PreparedImages): void {
  checkValue('The prepared image', preparedSchema, prepared);
  checkValue('`pixelValues` of the prepared image', tensorSchema, prepared.pixelValues);
  checkValue('`validPixels` of the prepared image', tensorSchema, prepared.validPixels);
  const [batch, , ...sides] = prepared.pixelValues.shape;
  const [pixels, valid] = [[batch, ...sides].join('x'), prepared.validPixels.shape.join('x')];
  if (pixels !== valid)
    throw new UsageError(
      `The prepared image has pixels for ${pixels} (images, rows and columns) and valid pixels for ${valid}; give both as \`prepare\` returned them.`,
    );
}

/** @throws InputError if a model is made for prepared images of another size than that of this one */
function refuseOtherSize(images: Feeds, inputs: ModelRunner['inputs']): void {
  for (const [name, { shape }] of Object.entries(images)) {
    const made = inputs.get(name)?.shape ?? [];
    if (made.some((side, axis) => typeof side === 'number' && side !== shape[axis]))
      throw new InputError(
        `The model is made for images that are ${made.join('x')} when they are prepared, and this one is ${shape.join('x')}; use the model that it was made from, which takes any size, or specialize that for this size.`,
      );
  }
}
