/**
 * The feature enhancer of GroundingDINO (Liu et al. 2023, https://arxiv.org/abs/2303.05499, section 3.2). Each layer
 * fuses both modalities, then applies self-attention to the text within its phrases and deformable self-attention to the image.
 */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import { deformableAttention, type Memory, type References } from './deformable-attention.ts';
import type { Network } from './network.ts';

/** The values that all encoder layers read. */
export interface EncoderContext {
  /** Position embeddings [batch, positions, d_model], added to the image features that become queries. */
  readonly imagePositions: Value;
  /** Added to scores over image positions, [batch, 1, positions]. */
  readonly imageMask: Value;
  /** 1 for valid positions, [batch, positions, 1]. */
  readonly validPositions: Value;
  /** Height and width of each level, [levels, 2]. */
  readonly spatialShapes: Value;
  /** The reference points of deformable attention. */
  readonly references: References;
  /** Position embeddings of the tokens [batch, tokens, d_model]. */
  readonly textPositions: Value;
  /** Added to scores over tokens, [batch, 1, 1, tokens]. */
  readonly textMask: Value;
  /** Added to the scores of tokens for each other, [batch, 1, tokens, tokens]; it keeps attention within a phrase. */
  readonly phraseMask: Value;
}

/** The features of both modalities. */
export interface Features {
  /** [batch, positions, d_model] */
  readonly image: Value;
  /** [batch, tokens, d_model] */
  readonly text: Value;
}

/** Builds the feature enhancer and returns the features of its last layer. */
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
 * the text. There are a hundred times more positions than tokens, so the projections of the image are not applied to
 * the image: matrix products are associative, and the same weights are multiplied into the text instead.
 *
 *     scores = (x · Q) · Kᵀ = x · (Q · Kᵀ)      image Δ = (P · V) · O = P · (V · O)      text Δ = P' · (x · W) = (P' · x) · W
 *
 * That leaves 13 of 31 billion multiplications of a layer at 800x1333, and no tensor of [positions, inner width].
 *
 * The reference implementation shifts the scores by their maximum and clamps them to ±50,000 against the limits of
 * float16; softmax is invariant to the shift, so in float32 neither is needed.
 */
function fusion(network: Network, config: Config, features: Features, context: EncoderContext): Features {
  const { b } = network;
  const width = config.d_model;
  const image = network.layerNorm('layer_norm_vision', features.image, width, config.layer_norm_eps);
  const text = network.layerNorm('layer_norm_text', features.text, width, config.layer_norm_eps);
  const scales = { image: network.parameter('vision_param', [width]), text: network.parameter('text_param', [width]) };
  const deltas = b.scope('attn', () => crossAttention(network, config, { image, text }, context, scales));
  // The residual is the normalised input.
  return { image: b.add(image, deltas.image), text: b.add(text, deltas.text) };
}

/** The values that fusion adds to both modalities, each channel multiplied by its learned scale. */
function crossAttention(
  network: Network,
  config: Config,
  { image, text }: Features,
  context: EncoderContext,
  scales: Features,
): Features {
  const { b } = network;
  const width = config.d_model;
  const inner = config.encoder_ffn_dim / 2;
  const heads = config.encoder_attention_heads / 2;
  const size = inner / heads;
  const projected = (name: string) => network.splitHeads(network.linear(name, text, width, inner), heads);
  /** The projection `name` by head, [1, heads, rows, columns], and its bias [1, heads, 1, size]. */
  const byHead = (name: string, perm: number[]) =>
    b.scope(name, () => ({
      weight: b.transpose(b.reshape(network.parameter('weight', [inner, width]), [1, heads, size, width]), perm),
      bias: b.reshape(network.parameter('bias', [inner]), [1, heads, 1, size]),
    }));

  const key = b.mul(projected('text_proj'), 1 / Math.sqrt(size)); // [batch, heads, tokens, size]
  const query = byHead('vision_proj', [0, 1, 3, 2]);
  const keyTransposed = b.transpose(key, [0, 1, 3, 2]);
  const toScores = b.scope('vision_proj', () =>
    b.reshape(b.transpose(b.matmul(query.weight, keyTransposed), [0, 2, 1, 3]), [0, width, -1]),
  ); // [batch, width, heads · tokens]
  const scores = b.matmul(image, toScores); // [batch, positions, heads · tokens]

  // All scores of a token get the product of the queries' bias and its key, and the mask of padding.
  const added = b.unsqueeze(
    b.reshape(b.add(b.matmul(query.bias, keyTransposed), context.textMask), [0, heads, -1]),
    [1],
  );
  const overTokens = b.softmax(b.add(b.reshape(scores, [0, 0, heads, -1]), added)); // [batch, positions, heads, tokens]
  const out = b.scope('out_vision_proj', () => {
    const weight = network.parameter('weight', [width, inner]);
    const weightByHead = b.transpose(b.reshape(weight, [1, width, heads, size]), [0, 2, 3, 1]);
    return { weight: weightByHead, bias: b.mul(network.parameter('bias', [width]), scales.image) };
  });
  const textValue = projected('values_text_proj');
  const toImage = b.scope('out_vision_proj', () =>
    b.reshape(b.mul(b.matmul(textValue, out.weight), scales.image), [0, -1, width]),
  ); // [batch, heads · tokens, width]
  const imageDelta = b.add(b.matmul(b.reshape(overTokens, [0, 0, -1]), toImage), out.bias);

  // Softmax along the positions is invariant to a number that is added to all scores of a token.
  const overPositions = b.softmax(b.add(b.transpose(scores, [0, 2, 1]), context.imageMask));
  const gathered = b.reshape(b.matmul(overPositions, image), [0, heads, -1, width]); // [batch, heads, tokens, width]
  const value = byHead('values_vision_proj', [0, 1, 3, 2]);
  const textContext = b.scope('values_vision_proj', () => b.add(b.matmul(gathered, value.weight), value.bias));
  const textDelta = network.linear('out_text_proj', network.mergeHeads(textContext), inner, width);
  return { image: imageDelta, text: b.mul(scales.text, textDelta) };
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
  const inner = config.encoder_ffn_dim;
  const forward = network.inParts(middle, 1, inner, (part) =>
    network.linear('fc2', b.relu(network.linear('fc1', part, width, inner)), inner, width),
  );
  return network.layerNorm('final_layer_norm', b.add(middle, forward), width, config.layer_norm_eps);
}
