/**
 * The feature enhancer of GroundingDINO (Liu et al. 2023, https://arxiv.org/abs/2303.05499, section 3.2). Each layer:
 * fusion of both modalities, self-attention of the text within its phrases, deformable self-attention of the image.
 */
import type { Value } from '../onnx/builder.ts';
import type { Config } from './config.ts';
import { deformableAttention, type Memory, type References } from './deformable-attention.ts';
import type { Network } from './network.ts';

/** What the encoder's layers share. */
export interface EncoderContext {
  /** [batch, positions, d_model], added to the image features where attention asks "where". */
  readonly imagePositions: Value;
  /** Added to scores over image positions, [batch, 1, 1, positions]. */
  readonly imageMask: Value;
  /** Valid positions, [batch, positions, 1]. */
  readonly validPositions: Value;
  readonly spatialShapes: Value;
  readonly references: References;
  /** [batch, tokens, d_model] */
  readonly textPositions: Value;
  /** Added to scores over tokens, [batch, 1, 1, tokens]. */
  readonly textMask: Value;
  /** Added to scores of tokens for tokens, [batch, 1, tokens, tokens]: within a phrase only. */
  readonly phraseMask: Value;
}

/** Image features [batch, positions, d_model] and text features [batch, tokens, d_model]. */
export interface Features {
  readonly image: Value;
  readonly text: Value;
}

export function encoder(network: Network, config: Config, input: Features, context: EncoderContext): Features {
  let features = input;
  for (let layer = 0; layer < config.encoder_layers; layer++)
    features = network.b.scope(`encoder.layers.${layer}`, () => encoderLayer(network, config, features, context));
  return features;
}

function encoderLayer(network: Network, config: Config, features: Features, context: EncoderContext): Features {
  const { b } = network;
  const fused = b.scope('fusion_layer', () => fusion(network, config, features, context));
  const text = b.scope('text_enhancer_layer', () => textEnhancer(network, config, fused.text, context));
  const image = b.scope('deformable_layer', () => deformableLayer(network, config, fused.image, context));
  return { image, text };
}

/**
 * Bi-directional cross-attention: one matrix of scores, read along the tokens by the image and along the positions by
 * the text. The reference implementation shifts the scores by their maximum and clamps them to ±50,000 against the
 * limits of float16; softmax is invariant to the shift, so in float32 neither is needed.
 */
function fusion(network: Network, config: Config, features: Features, context: EncoderContext): Features {
  const { b } = network;
  const width = config.d_model;
  const inner = config.encoder_ffn_dim / 2;
  const heads = config.encoder_attention_heads / 2;
  const image = network.layerNorm('layer_norm_vision', features.image, width, config.layer_norm_eps);
  const text = network.layerNorm('layer_norm_text', features.text, width, config.layer_norm_eps);
  const { imageDelta, textDelta } = b.scope('attn', () => {
    const project = (name: string, x: Value) => network.splitHeads(network.linear(name, x, width, inner), heads);
    const query = b.mul(project('vision_proj', image), 1 / Math.sqrt(inner / heads));
    const key = project('text_proj', text);
    const imageValue = project('values_vision_proj', image);
    const textValue = project('values_text_proj', text);
    const scores = b.matmul(query, b.transpose(key, [0, 1, 3, 2])); // [batch, heads, positions, tokens]
    const overTokens = b.softmax(b.add(scores, context.textMask));
    const overPositions = b.softmax(b.add(b.transpose(scores, [0, 1, 3, 2]), context.imageMask));
    return {
      imageDelta: network.linear('out_vision_proj', network.mergeHeads(b.matmul(overTokens, textValue)), inner, width),
      textDelta: network.linear('out_text_proj', network.mergeHeads(b.matmul(overPositions, imageValue)), inner, width),
    };
  });
  // The residual is the normalised input, and each channel of the update has a learned scale.
  return {
    image: b.add(image, b.mul(network.parameter('vision_param', [width]), imageDelta)),
    text: b.add(text, b.mul(network.parameter('text_param', [width]), textDelta)),
  };
}

function textEnhancer(network: Network, config: Config, text: Value, context: EncoderContext): Value {
  const { b } = network;
  const width = config.d_model;
  const inner = config.encoder_ffn_dim / 2;
  const placed = b.add(text, context.textPositions);
  const attended = b.scope('self_attn', () => {
    const inputs = { queries: placed, keys: placed, values: text, mask: context.phraseMask };
    return network.linear(
      'out_proj',
      network.attention(inputs, width, config.encoder_attention_heads / 2),
      width,
      width,
    );
  });
  const middle = network.layerNorm('layer_norm_before', b.add(text, attended), width, config.layer_norm_eps);
  const forward = network.linear('fc2', b.relu(network.linear('fc1', middle, width, inner)), inner, width);
  return network.layerNorm('layer_norm_after', b.add(forward, middle), width, config.layer_norm_eps);
}

function deformableLayer(network: Network, config: Config, image: Value, context: EncoderContext): Value {
  const { b } = network;
  const width = config.d_model;
  const memory: Memory = { features: image, mask: context.validPositions, spatialShapes: context.spatialShapes };
  const attended = b.scope('self_attn', () =>
    deformableAttention(network, b.add(image, context.imagePositions), memory, context.references, {
      width,
      heads: config.encoder_attention_heads,
      levels: config.num_feature_levels,
      points: config.encoder_n_points,
    }),
  );
  const middle = network.layerNorm('self_attn_layer_norm', b.add(image, attended), width, config.layer_norm_eps);
  const inner = b.relu(network.linear('fc1', middle, width, config.encoder_ffn_dim));
  const forward = network.linear('fc2', inner, config.encoder_ffn_dim, width);
  return network.layerNorm('final_layer_norm', b.add(middle, forward), width, config.layer_norm_eps);
}
