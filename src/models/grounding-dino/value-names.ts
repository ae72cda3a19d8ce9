/** Names of graph values that are known outside of the code that builds them. */

/** The input of the half `detect` that says which pixels are no padding: booleans [images, height, width]. */
export const VALID_PIXELS = 'valid_pixels';

/**
 * The inputs and outputs of the halves, which are values of the combined model. The inputs of the combined model, and the
 * names of the outputs, are those of Hugging Face's `GroundingDinoForObjectDetection`.
 */
export const INTERFACES = {
  text: {
    inputs: ['input_ids', 'position_ids', 'text_self_attention_mask'],
    outputs: ['text_features'],
  },
  detect: {
    inputs: [
      'pixel_values',
      VALID_PIXELS,
      'text_features',
      'position_ids',
      'text_self_attention_mask',
      'text_token_mask',
    ],
    outputs: ['logits', 'pred_boxes'],
  },
} as const;
