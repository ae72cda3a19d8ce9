/**
 * The cross-modality decoder (https://arxiv.org/abs/2303.05499, section 3.4). Each layer has self-attention of the
 * queries, attention to the text, deformable attention to the image and a feed-forward network, and then refines the boxes.
 */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import { deformableAttention, type Memory } from './deformable-attention.ts';
import type { Network } from './network.ts';
import { inverseSigmoid, sineEmbedding, TEMPERATURE } from './positions.ts';

/** Boxes are kept this far from 0 and 1 before the inverse sigmoid. */
const EPSILON = 1e-5;

/** The values that all decoder layers read. */
export interface DecoderContext {
  /** The encoded image. */
  readonly memory: Memory;
  /** The encoded text [batch, tokens, d_model]. */
  readonly text: Value;
  /** Added to scores over tokens, [batch, 1, 1, tokens]. */
  readonly textMask: Value;
  /** The valid part of each level as (width, height), twice: [batch, 1, levels, 4]. */
  readonly validRatios: Value;
  /** Denoising queries, in training only. */
  readonly extra?: ExtraQueries | undefined;
}

/** Queries that exist only in training and come before the others: see training/denoising.ts. */
export interface ExtraQueries {
  /** Features [batch, extra, d_model]. */
  readonly content: Value;
  /** Boxes (cx, cy, w, h) in 0..1, [batch, extra, 4]. */
  readonly references: Value;
  /** Added to the scores of all queries for each other, [extra + queries, extra + queries]. */
  readonly mask: Value;
}

/** The results of a decoder layer. */
export interface DecoderLayerOutput {
  /** The normalised output [batch, queries, d_model]. */
  readonly hidden: Value;
  /** The start of the next layer: the boxes refined by the un-normalised output, (cx, cy, w, h) in 0..1, [batch, queries, 4]. */
  readonly references: Value;
  /** The layer's result: the boxes it started from, refined by the normalised output, [batch, queries, 4]. */
  readonly boxes: Value;
}

/**
 * Builds the decoder.
 *
 * @param references the initial boxes (cx, cy, w, h) in 0..1, [batch, queries, 4]
 * @returns the results of every layer, in order
 */
export function decoder(
  network: Network,
  config: Config,
  references: Value,
  context: DecoderContext,
): DecoderLayerOutput[] {
  const { b } = network;
  const width = config.d_model;
  const { extra } = context;
  const learned = initialQueries(network, config, references);
  let hidden = extra ? b.concat([extra.content, learned], 1) : learned;
  let start = extra ? b.concat([extra.references, references], 1) : references;
  return Array.from({ length: config.decoder_layers }, (_, layer): DecoderLayerOutput => {
    const scaled = b.scope('decoder', () => b.mul(b.unsqueeze(start, [2]), context.validRatios)); // [batch, queries, levels, 4]
    const positions = b.scope('decoder', () => queryPositions(network, scaled, width));
    hidden = b.scope(`decoder.layers.${layer}`, () =>
      decoderLayer(network, config, hidden, positions, scaled, context),
    );
    const normed = network.layerNorm('decoder.layer_norm', hidden, width, config.layer_norm_eps);
    const boxes = moveBoxes(network, config, normed, start, layer);
    start = network.detach(moveBoxes(network, config, hidden, start, layer));
    return { hidden: normed, references: start, boxes };
  });
}

/** The learned content of the queries, the same for every image: [batch, queries, d_model]. */
function initialQueries(network: Network, config: Config, references: Value): Value {
  const { b } = network;
  const learned = b.scope('query_position_embeddings', () =>
    network.parameter('weight', [config.num_queries, config.d_model]),
  );
  return b.expand(b.unsqueeze(learned, [0]), [b.dimension(references, 0), 1, 1]);
}

/** Refines boxes by a box head, in logit space. The heads are outside of the `model` module in the checkpoints. */
function moveBoxes(network: Network, config: Config, hidden: Value, boxes: Value, layer: number): Value {
  const { b } = network;
  const head = config.decoder_bbox_embed_share ? 0 : layer;
  const width = config.d_model;
  const delta = b.outside(() => network.multilayerPerceptron(`bbox_embed.${head}`, hidden, [width, width, width, 4]));
  return b.sigmoid(b.add(delta, inverseSigmoid(network, boxes, EPSILON)));
}

/** The position of a query as features: sine embeddings of its box in the order (y, x, w, h), through a small network. */
function queryPositions(network: Network, scaled: Value, width: number): Value {
  const { b } = network;
  const box = b.squeeze(b.slice(scaled, [0], [1], [2]), [2]); // on the first level
  const angles = b.mul(b.gather(box, b.integers(1, 0, 2, 3), 2), 2 * Math.PI);
  const embedded = sineEmbedding(network, b.unsqueeze(angles, [3]), width / 2, TEMPERATURE);
  return network.multilayerPerceptron('reference_points_head', b.reshape(embedded, [0, 0, 2 * width]), [
    2 * width,
    width,
    width,
  ]);
}

function decoderLayer(
  network: Network,
  config: Config,
  input: Value,
  positions: Value,
  scaled: Value,
  context: DecoderContext,
): Value {
  const { b } = network;
  const width = config.d_model;
  const heads = config.decoder_attention_heads;
  const norm = (name: string, x: Value) => network.layerNorm(name, x, width, config.layer_norm_eps);
  const attend = (name: string, inputs: Parameters<Network['attention']>[0]) =>
    b.scope(name, () => network.linear('out_proj', network.attention(inputs, width, heads), width, width));

  const placed = b.add(input, positions);
  const own = attend('self_attn', { queries: placed, keys: placed, values: input, mask: context.extra?.mask });
  const afterSelf = norm('self_attn_layer_norm', b.add(input, own));

  const read = attend('encoder_attn_text', {
    queries: b.add(afterSelf, positions),
    keys: context.text,
    values: context.text,
    mask: context.textMask,
  });
  const afterText = norm('encoder_attn_text_layer_norm', b.add(afterSelf, read));

  // A box reaches half its size in each direction, divided among its points.
  const points = config.decoder_n_points;
  const references = {
    points: b.slice(scaled, [0], [2], [3]),
    offsetScale: b.mul(b.slice(scaled, [2], [4], [3]), 0.5 / points),
  };
  const seen = b.scope('encoder_attn', () =>
    deformableAttention(network, b.add(afterText, positions), context.memory, references, {
      width,
      heads,
      levels: config.num_feature_levels,
      points,
    }),
  );
  const afterImage = norm('encoder_attn_layer_norm', b.add(afterText, seen));

  const inner = b.relu(network.linear('fc1', afterImage, width, config.decoder_ffn_dim));
  const forward = network.linear('fc2', inner, config.decoder_ffn_dim, width);
  return norm('final_layer_norm', b.add(afterImage, forward));
}
