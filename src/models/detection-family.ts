/** The interface of a family of open-vocabulary detectors: prompts, feeds and post-processing. `Detector` uses it. */
import type { Box } from '../data/labelled-box.ts';
import type { Phrases } from '../data/phrases.ts';
import type { PreparedImages } from '../data/prepare-images.ts';
import type { Size } from '../data/size.ts';
import type { Model } from '../onnx/read.ts';
import type { TensorInfo } from '../onnx/types.ts';
import type { Feeds } from '../runtime/session.ts';
import type { NamedOutputs } from './named-outputs.ts';
import type { Tokenizer } from './tokenizer.ts';

/** A box that was found, with the phrase that it belongs to. */
export interface ScoredBox {
  /** Index of the phrase in the prompt. */
  readonly phrase: number;
  /** Probability in 0..1. */
  readonly score: number;
  /** Left, top, width and height in pixels of the image. */
  readonly box: Box;
}

/** One phrase of a chunk. */
export interface PhraseSpan {
  /** Index of the phrase in the prompt. */
  readonly phrase: number;
  /** Index in the chunk of the phrase's first token. */
  readonly begin: number;
  /** Index in the chunk after the phrase's last token; the period that closes the phrase is not part of it. */
  readonly end: number;
}

/** A part of a prompt that the model takes at once. */
export interface PromptChunk {
  /** Token ids, with the special tokens at both ends. */
  readonly tokens: readonly number[];
  /** The phrases of this part, with their tokens. */
  readonly phrases: readonly PhraseSpan[];
}

/** Phrases as the model takes them. */
export interface Prompt {
  /** The phrases as the user gave them, trimmed. */
  readonly phrases: readonly string[];
  /** The parts that the model reads one at a time. */
  readonly chunks: readonly PromptChunk[];
  /** Sentences that the user should know, such as that the tokenizer does not know a phrase. */
  readonly warnings: readonly string[];
}

/** The absolute differences of logits of a float model and its quantized form. */
export interface LogitDifference {
  /** The number of logits that are compared. */
  readonly count: number;
  /** The sum of the absolute differences. */
  readonly sum: number;
  /** The largest absolute difference. */
  readonly highest: number;
}

/** The differences of the logits of one token of a prompt, over the queries by which the float model finds something. */
export interface TokenDifference {
  /** Index of the token's phrase in the prompt. */
  readonly phrase: number;
  /** The id of the token. */
  readonly token: number;
  /** Over all these queries. */
  readonly all: LogitDifference;
  /** Over those of them to which the float model gives the token's phrase. */
  readonly own: LogitDifference;
}

/** The halves of a detector: `text` runs once for a prompt, `detect` once for every image. */
export type Half = 'text' | 'detect';

/** The names of the results of the half `detect`, for programs that read them without dino8. */
export interface DetectionResults {
  /** A logit for each query and each token of the prompt, [1, queries, tokens]. */
  readonly logits: string;
  /** The centre, width and height of a box for each query, as parts of the image's size, [1, queries, 4]. */
  readonly boxes: string;
}

/** How a prompt becomes the inputs of the two halves, for programs that do it without dino8. */
export interface PromptLayout {
  /** The names of the values that depend on the prompt. */
  readonly inputs: {
    /** The tokens, an input of the half `text`: int64 [1, length]. */
    readonly tokens: string;
    /** The position of each token within its phrase, an input of both halves: int64 [1, length]. */
    readonly positions: string;
    /** Which tokens each token sees, an input of both halves: booleans [1, length, length]. */
    readonly sees: string;
    /** Which tokens are no padding, an input of the half `detect`: booleans [1, length]. */
    readonly counted: string;
    /** The result of the half `text`, an input of the half `detect`: float32 [1, length, width]. */
    readonly features: string;
  };
  /** Tokens with a meaning of their own. */
  readonly tokens: {
    /** The first token of a prompt. */
    readonly first: number;
    /** The last token of a prompt. */
    readonly last: number;
    /** The token behind each phrase. */
    readonly separator: number;
    /** The tokens that end a phrase, so that none of them is part of one. */
    readonly ends: readonly number[];
    /** The token that fills a prompt of a fixed length. */
    readonly padding: number;
  };
}

/** The steps around the runs of a detector's two halves: they make the prompts and the inputs, and turn the results into boxes. */
export interface DetectionSteps {
  /** The names of the results of the half `detect`. */
  readonly results: DetectionResults;
  /** The names of the inputs of the half `detect` that are the same for most images, such as the mask of valid pixels. */
  readonly steadyInputs: readonly string[];
  /** The tokens and the inputs of a prompt, for programs that make them without dino8. */
  readonly promptLayout: PromptLayout;
  /** The maximum number of tokens of a prompt, special tokens included. */
  readonly longestPrompt: number;
  /**
   * Tokenizes phrases, and splits those that exceed `longest` tokens into chunks of whole phrases.
   *
   * @param phrases a list, or one text in which periods, commas or semicolons separate the phrases
   * @param longest the maximum number of tokens of a chunk; `longestPrompt` by default
   * @throws UsageError if there is no phrase, or one that has no words, holds several phrases or does not fit
   */
  createPrompt(phrases: Phrases, tokenizer: Tokenizer, longest?: number): Prompt;
  /** The number of tokens that a half with these inputs takes; undefined if it takes any number. */
  fixedPromptLength(inputs: ReadonlyMap<string, TensorInfo>): number | undefined;
  /** Inputs of the half `text` for one chunk, padded to `length` tokens (by default, not padded). */
  textFeeds(chunk: PromptChunk, length?: number): Feeds;
  /**
   * Inputs of the half `detect` that depend on the prompt alone, copied so that they outlive the run of the half `text`.
   *
   * @param encoded results of the half `text` for the feeds that `textFeeds` gave for the same chunk and length
   */
  promptFeeds(chunk: PromptChunk, encoded: NamedOutputs, length?: number): Feeds;
  /** The input that a model for several prompts has beside images: the number of the prompt, from 0. */
  promptChoice(index: number): Feeds;
  /** Inputs of the half `detect` that come from images. `takes` says whether the half has an input of a name. */
  imageFeeds(images: PreparedImages, takes: (input: string) => boolean): Feeds;
  /**
   * Boxes for a user: each query at most once, with the phrase that it fits best.
   *
   * @param outputs results of the half `detect` for one image and one chunk
   * @param size of the original image, in pixels
   * @param threshold the minimum score
   * @returns boxes in descending order of their scores
   */
  groundedBoxes(outputs: NamedOutputs, chunk: PromptChunk, size: Size, threshold: number): ScoredBox[];
  /** The `limit` best pairs of query and phrase, as the evaluation on COCO ranks them; parameters as for `groundedBoxes`. */
  rankedBoxes(outputs: NamedOutputs, chunk: PromptChunk, size: Size, limit: number): ScoredBox[];
}

/** The detection capability of a family, for one configuration of its models. */
export interface DetectionFamily extends DetectionSteps {
  /**
   * Cuts one half out of a model, quantized or not. The half shares the model's weights.
   *
   * @throws InputError if the model lacks the values at which it is cut
   */
  extractHalf(model: Model, half: Half): Model;
  /**
   * The combined model of two halves, the inverse of `extractHalf`.
   *
   * @throws InputError if they are no halves of a model of this family
   */
  joinHalves(text: Model, detect: Model): Model;
  /**
   * The model for fixed prompts: the half `detect`, in which the inputs that depend on the prompt alone are constants. Of several
   * prompts the input of `promptChoice` chooses one.
   *
   * @param prompts what `promptFeeds` gave for each prompt
   */
  fixPrompts(model: Model, prompts: readonly Feeds[]): Model;
  /** The model for one prompt of a model that `fixPrompts` made for several. */
  choosePrompt(model: Model, index: number): Promise<Model>;
  /**
   * Compares the logits of each token of a prompt, over the queries by which the float model finds something.
   *
   * @param chunk the prompt that the outputs belong to
   * @returns the tokens in the order of the prompt; those that belong to no phrase are left out
   */
  compareTokens(float: NamedOutputs, quantized: NamedOutputs, chunk: PromptChunk): TokenDifference[];
  /** A prompt of `tokens` tokens without meaning, for measurements. @throws UsageError if no prompt has that length */
  blankPrompt(tokens: number): number[];
  /** The size itself, or a larger one where it is too small for the queries of the model; such images are padded. */
  canvasFor(size: Size): Size;
  /** Inputs of the combined model for one image and the tokens of one prompt. */
  combinedFeeds(image: PreparedImages, tokens: readonly number[]): Feeds;
}
