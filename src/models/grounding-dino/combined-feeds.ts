/** The inputs of the combined model: Hugging Face's interface, with masks of 64-bit integers. */

import { checkFields } from '../../base/check-options.ts';
import type { PreparedImages } from '../../data/prepare-images.ts';
import type { Feeds } from '../../runtime/session.ts';
import { integers, type Tensor } from '../../runtime/tensor.ts';

/**
 * Returns the inputs of a combined model for one image and one prompt.
 * @param tokens ids of the prompt, special tokens included
 * @example
 * await using preprocessor = await Preprocessor.create(source.preprocessing);
 * const prepared = await preprocessor.prepare([await readImage('photo.jpg')]);
 * const feeds = combinedFeeds(prepared, [101, 3899, 1012, 102]); // "cat."
 */
export function combinedFeeds(prepared: PreparedImages, tokens: readonly number[]): Feeds {
  checkFields('The image must be what `prepare` returned', prepared, 'pixelValues', 'validPixels');
  const { pixelValues, validPixels } = prepared;
  return {
    pixel_values: pixelValues,
    pixel_mask: asIntegers(validPixels),
    input_ids: integers(tokens, [1, tokens.length]),
    token_type_ids: integers(new BigInt64Array(tokens.length), [1, tokens.length]),
    attention_mask: integers(new BigInt64Array(tokens.length).fill(1n), [1, tokens.length]),
  };
}

function asIntegers({ data, shape }: Tensor): Tensor {
  const result = new BigInt64Array(data.length);
  for (const [index, value] of (data as Uint8Array).entries()) if (value) result[index] = 1n; // booleans are bytes
  return integers(result, shape);
}
