/** The text side of the network: from token ids to text features, once for a prompt. */
import type { Value } from '../../onnx/builder.ts';
import { bert } from './bert.ts';
import type { Config } from './config.ts';
import type { Network } from './network.ts';
import { additiveMask } from './query-selection.ts';

/** A tokenized prompt. The masks say which tokens form a phrase: see token-masks.ts. */
export interface TextInputs {
  /** Token ids [batch, tokens], int64. */
  readonly tokens: Value;
  /** Token types [batch, tokens] or one for all, int64. */
  readonly tokenTypes: Value;
  /** Positions within the phrase, [batch, tokens], int64. */
  readonly positions: Value;
  /** True where the token of a row may attend to the token of a column, [batch, tokens, tokens], boolean. */
  readonly selfAttentionMask: Value;
}

/**
 * Builds the text encoder and the projection of its features.
 *
 * @returns the last hidden state of BERT [batch, tokens, hidden] and its projection [batch, tokens, d_model]
 */
export function textEncoder(network: Network, config: Config, inputs: TextInputs): { hidden: Value; features: Value } {
  const { b } = network;
  const mask = b.scope('model.text_backbone', () => additiveMask(network, b.unsqueeze(inputs.selfAttentionMask, [1])));
  const hidden = b.scope('model.text_backbone', () => bert(network, config.text_config, { ...inputs, mask }));
  const features = b.scope('model', () =>
    b.named('text_features', network.linear('text_projection', hidden, config.text_config.hidden_size, config.d_model)),
  );
  return { hidden, features };
}
