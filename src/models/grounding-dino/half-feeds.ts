/** Inputs of the halves `text` and `detect`. */
import type { PreparedImages } from '../../data/prepare-images.ts';
import type { TensorInfo } from '../../onnx/types.ts';
import type { Feeds } from '../../runtime/session.ts';
import { booleans, copyTensor, integers } from '../../runtime/tensor.ts';
import type { PromptChunk, PromptLayout } from '../detection-family.ts';
import type { NamedOutputs } from '../named-outputs.ts';
import { checkUnpadded } from './canvas.ts';
import { DELIMITERS } from './phrase-masks.ts';
import { tokenMasks } from './token-masks.ts';
import { VALID_PIXELS } from './value-names.ts';

/** The token id that fills the prompt of a model with a fixed length; the masks hide it. */
const PADDING = 0;

const [FIRST, LAST, SEPARATOR] = DELIMITERS;

/** The input of a model for several prompts: the number of the prompt, int64 [1]. */
export const CHOICE = 'prompt';

/** The input that chooses the prompt of a model for several. */
export const promptChoice = (index: number): Feeds => ({ [CHOICE]: integers([index], [1]) });

/** What the functions below do, as data. */
export const PROMPT_LAYOUT: PromptLayout = {
  inputs: {
    tokens: 'input_ids',
    positions: 'position_ids',
    sees: 'text_self_attention_mask',
    counted: 'text_token_mask',
    features: 'text_features',
  },
  tokens: { first: FIRST, last: LAST, separator: SEPARATOR, ends: DELIMITERS, padding: PADDING },
};

/** The number of tokens that a half takes; undefined if it takes any number. */
export function fixedPromptLength(inputs: ReadonlyMap<string, TensorInfo>): number | undefined {
  const dimension = inputs.get('position_ids')?.shape?.[1];
  return typeof dimension === 'number' ? dimension : undefined;
}

/** Inputs of the half `text` for one chunk, padded to `length` tokens. */
export function textFeeds({ tokens }: PromptChunk, length = tokens.length): Feeds {
  const padded = padTokens(tokens, length);
  return { input_ids: integers(padded, [1, length]), ...maskFeeds(padded) };
}

/** Inputs of the half `detect` that depend on the prompt alone. `encoded`: results of the half `text`. */
export function promptFeeds({ tokens }: PromptChunk, encoded: NamedOutputs, length = tokens.length): Feeds {
  return {
    ...maskFeeds(padTokens(tokens, length)),
    text_features: copyTensor(encoded.get('text_features')),
    text_token_mask: booleans(new Uint8Array(length).fill(1, 0, tokens.length), [1, length]),
  };
}

/** Inputs of the half `detect` that come from images. A model without padding has no mask of valid pixels. */
export function imageFeeds(prepared: PreparedImages, takes: (input: string) => boolean): Feeds {
  const { pixelValues, validPixels } = prepared;
  if (takes(VALID_PIXELS)) return { pixel_values: pixelValues, [VALID_PIXELS]: validPixels };
  checkUnpadded(prepared);
  return { pixel_values: pixelValues };
}

function padTokens(tokens: readonly number[], length: number): number[] {
  return [...tokens, ...new Array<number>(length - tokens.length).fill(PADDING)];
}

/** Position ids and the mask of self-attention. */
function maskFeeds(tokens: readonly number[]): Feeds {
  const { positionIds, selfAttentionMask } = tokenMasks(tokens);
  const count = tokens.length;
  return {
    position_ids: integers(positionIds, [1, count]),
    text_self_attention_mask: booleans(selfAttentionMask, [1, count, count]),
  };
}
