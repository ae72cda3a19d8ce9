/** Images and phrases → boxes. The prompt is encoded once, however many images follow. */

import type { Image } from '../data/image.ts';
import { type PreparedImages, Preprocessor } from '../data/preprocess.ts';
import type { Size } from '../data/size.ts';
import { longestText } from '../models/grounding-dino/config.ts';
import { extractHalf } from '../models/grounding-dino/grounding-dino.ts';
import {
  groundedBoxes,
  type RawDetections,
  rankedBoxes,
  type ScoredBox,
} from '../models/grounding-dino/postprocess.ts';
import { createPrompt, type Prompt, type PromptChunk } from '../models/grounding-dino/prompt.ts';
import { tokenMasks } from '../models/grounding-dino/token-masks.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { createTokenizer, type Tokenizer } from '../models/tokenizer.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { booleans, copyTensor, floatData, integers, type Tensor } from '../runtime/tensor.ts';

/** The published default: boxes below are not shown. */
export const DEFAULT_THRESHOLD = 0.35;

export interface Detection extends ScoredBox {
  /** The phrase itself, as the user gave it. */
  readonly label: string;
}

/** A chunk of a prompt with the inputs that depend on it alone. */
interface EncodedChunk {
  readonly chunk: PromptChunk;
  readonly feeds: Feeds;
}

/** What fills the prompt of a model that is made for one length: nothing sees it. */
const PADDING = 0;

export interface EncodedPrompt {
  readonly prompt: Prompt;
  readonly chunks: readonly EncodedChunk[];
}

export type DetectorOptions = Pick<SessionOptions, 'threads' | 'providers' | 'config' | 'optimization'>;

export class Detector implements AsyncDisposable {
  readonly #text: Session;
  readonly #detect: Session;
  readonly #preprocessor: Preprocessor;
  readonly #tokenizer: Tokenizer;
  readonly #longestText: number;
  /** Tokens that a specialised model takes, no more and no fewer. */
  readonly #fixedText: number | undefined;

  private constructor(
    text: Session,
    detect: Session,
    preprocessor: Preprocessor,
    tokenizer: Tokenizer,
    longestText: number,
  ) {
    const extent = text.inputs.get('input_ids')?.shape?.[1];
    this.#fixedText = typeof extent === 'number' ? extent : undefined;
    this.#text = text;
    this.#detect = detect;
    this.#preprocessor = preprocessor;
    this.#tokenizer = tokenizer;
    this.#longestText = this.#fixedText ?? longestText;
  }

  /** Loads a model; dino8's kernels are used where they were built. @throws InputError or RuntimeError if it does not load */
  static async create(modelPackage: ModelPackage, options: DetectorOptions = {}): Promise<Detector> {
    const { model, config, preprocessing, source } = modelPackage;
    const settings: SessionOptions = { ...options, ...kernelOptions() };
    const tokenizer = createTokenizer(modelPackage.tokenizer, source);
    const load = (half: 'text' | 'detect') => Session.create(modelBytes(extractHalf(model, half)), settings, source);
    const text = await load('text');
    const detect = await load('detect');
    const preprocessor = await Preprocessor.create(preprocessing, options.threads);
    return new Detector(text, detect, preprocessor, tokenizer, longestText(config));
  }

  /** Encodes phrases. @throws UsageError if they make no prompt */
  async encodePrompt(phrases: readonly string[] | string): Promise<EncodedPrompt> {
    const prompt = createPrompt(phrases, this.#tokenizer, this.#longestText);
    const chunks: EncodedChunk[] = [];
    for (const chunk of prompt.chunks) chunks.push({ chunk, feeds: await this.#encodeChunk(chunk) });
    return { prompt, chunks };
  }

  async #encodeChunk(chunk: PromptChunk): Promise<Feeds> {
    const count = this.#fixedText ?? chunk.tokens.length;
    const tokens = [...chunk.tokens, ...new Array<number>(count - chunk.tokens.length).fill(PADDING)];
    const { positionIds, selfAttentionMask } = tokenMasks(tokens);
    const masks = {
      position_ids: integers(positionIds, [1, count]),
      text_self_attention_mask: booleans(selfAttentionMask, [1, count, count]),
    };
    using outputs = await this.#text.run({ input_ids: integers(tokens, [1, count]), ...masks });
    return {
      ...masks,
      text_features: copyTensor(outputs.get('text_features')),
      text_token_mask: booleans(new Uint8Array(count).fill(1, 0, chunk.tokens.length), [1, count]),
    };
  }

  prepare(image: Image): Promise<PreparedImages> {
    return this.#preprocessor.prepare([image]);
  }

  /** What a user asks for: boxes in pixels of the image with their phrase, best first. */
  async detect(image: Image, prompt: EncodedPrompt, threshold = DEFAULT_THRESHOLD): Promise<Detection[]> {
    const boxes = await this.#perChunk(image, prompt, (raw, chunk) => groundedBoxes(raw, chunk, image, threshold));
    return boxes.map((box) => ({ ...box, label: prompt.prompt.phrases[box.phrase] ?? '' }));
  }

  /** COCO's protocol: the `most` best pairs of box and phrase, without threshold or suppression. */
  async rank(image: Image, prompt: EncodedPrompt, most: number): Promise<ScoredBox[]> {
    const boxes = await this.#perChunk(image, prompt, (raw, chunk) => rankedBoxes(raw, chunk, image, most));
    return boxes.slice(0, most);
  }

  /** Runs the model alone on a prepared image and one chunk, and answers the seconds it took. */
  async time(prepared: PreparedImages, prompt: EncodedPrompt): Promise<number> {
    const start = performance.now();
    for (const { feeds } of prompt.chunks) (await this.#run(prepared, feeds)).dispose();
    return (performance.now() - start) / 1000;
  }

  async #perChunk(
    image: Image & Size,
    prompt: EncodedPrompt,
    score: (raw: RawDetections, chunk: PromptChunk) => ScoredBox[],
  ): Promise<ScoredBox[]> {
    const prepared = await this.prepare(image);
    const found: ScoredBox[] = [];
    for (const { chunk, feeds } of prompt.chunks) {
      using outputs = await this.#run(prepared, feeds);
      const [logits, boxes] = [outputs.get('logits'), outputs.get('pred_boxes')];
      found.push(...score({ logits: floatData(logits), boxes: floatData(boxes), queries: queriesOf(boxes) }, chunk));
    }
    return prompt.chunks.length > 1 ? found.sort((a, b) => b.score - a.score) : found;
  }

  #run(prepared: PreparedImages, feeds: Feeds) {
    const mask = this.#detect.inputs.has('valid_pixels') ? { valid_pixels: prepared.validPixels } : {};
    return this.#detect.run({ pixel_values: prepared.pixelValues, ...mask, ...feeds });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#text.close(), this.#detect.close(), this.#preprocessor[Symbol.asyncDispose]()]);
  }
}

const queriesOf = (boxes: Tensor) => boxes.shape[1] ?? 0;
