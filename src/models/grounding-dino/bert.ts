/**
 * BERT, the text encoder (Devlin et al. 2018, https://arxiv.org/abs/1810.04805), as GroundingDINO uses it: position ids that
 * restart in each phrase, attention within the phrase only, and token types that are 0 in every prompt.
 */
import type { Value } from '../../onnx/builder.ts';
import type { BertConfig } from './config.ts';
import type { Network } from './network.ts';

/** What the text encoder reads. */
export interface BertInputs {
  /** Token ids [batch, tokens], int64. */
  readonly tokens: Value;
  /** Token types [batch, tokens] or one for all, int64. */
  readonly tokenTypes: Value;
  /** Position ids [batch, tokens], int64. */
  readonly positions: Value;
  /** Added to the attention scores, [batch, 1, tokens, tokens]. */
  readonly mask: Value;
}

/** Builds the text encoder, and returns its last hidden state [batch, tokens, hidden]. */
export function bert(network: Network, config: BertConfig, inputs: BertInputs): Value {
  const { b } = network;
  const { mask } = inputs;
  let hidden = b.scope('embeddings', () => embeddings(network, config, inputs));
  for (let layer = 0; layer < config.num_hidden_layers; layer++)
    hidden = b.scope(`encoder.layer.${layer}`, () => encoderLayer(network, config, hidden, mask));
  return hidden;
}

function embeddings(
  network: Network,
  config: BertConfig,
  { tokens, tokenTypes, positions }: Omit<BertInputs, 'mask'>,
): Value {
  const { b } = network;
  const size = config.hidden_size;
  const look = (name: string, rows: number, ids: Value) =>
    b.scope(name, () => b.gather(network.parameter('weight', [rows, size]), ids, 0));
  const words = look('word_embeddings', config.vocab_size, tokens);
  const types = look('token_type_embeddings', config.type_vocab_size, tokenTypes);
  const places = look('position_embeddings', config.max_position_embeddings, positions);
  return network.layerNorm('LayerNorm', b.add(b.add(words, types), places), size, config.layer_norm_eps);
}

/** A post-norm layer: attention, then a feed-forward network, each with a residual. */
function encoderLayer(network: Network, config: BertConfig, hidden: Value, mask: Value): Value {
  const { b } = network;
  const size = config.hidden_size;
  const epsilon = config.layer_norm_eps;
  const context = b.scope('attention.self', () =>
    network.attention({ queries: hidden, keys: hidden, values: hidden, mask }, size, config.num_attention_heads),
  );
  const attended = b.scope('attention.output', () => {
    const projected = network.linear('dense', context, size, size);
    return network.layerNorm('LayerNorm', b.add(projected, hidden), size, epsilon);
  });
  const inner = b.scope('intermediate', () =>
    b.gelu(network.linear('dense', attended, size, config.intermediate_size)),
  );
  return b.scope('output', () => {
    const projected = network.linear('dense', inner, config.intermediate_size, size);
    return network.layerNorm('LayerNorm', b.add(projected, attended), size, epsilon);
  });
}
