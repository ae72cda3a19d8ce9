/**
 * Language-guided query selection (https://arxiv.org/abs/2303.05499, section 3.3). Every image position proposes a box;
 * the positions that match a token best become the queries of the decoder.
 */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import type { Levels } from './levels.ts';
import { MASKED, type Network } from './network.ts';

/** Width and height in 0..1 of a proposal on the finest level; they double with each level. */
const SMALLEST_PROPOSAL = 0.05;
/** Proposals closer to the border than this, in 0..1, are invalid. */
const BORDER = 0.01;
/** The logit of an invalid proposal. Its sigmoid is exactly 1, like that of +inf in the reference implementation, and it is finite. */
const INVALID = 1e4;

/** The proposals of all levels. */
export interface Proposals {
  /** Box logits (cx, cy, w, h), [batch, positions, 4]. */
  readonly logits: Value;
  /** True for proposals inside of the image and not at its border, [batch, positions, 1], boolean. */
  readonly valid: Value;
}

/** The queries that were selected. */
export interface Selection {
  /** Reference boxes (cx, cy, w, h) in 0..1, [batch, queries, 4]. */
  readonly boxes: Value;
  /** Features of all proposals [batch, positions, d_model]. */
  readonly candidates: Value;
  /** The proposals that became queries [batch, queries], int64. */
  readonly indices: Value;
}

/** Builds the proposals: a square at each position, whose side depends on the level. */
export function proposals(network: Network, config: Config, { centers, levelOf, mask }: Levels): Proposals {
  const { b } = network;
  const sides = Float32Array.from({ length: config.num_feature_levels }, (_, level) => SMALLEST_PROPOSAL * 2 ** level);
  const side = b.unsqueeze(b.gather(b.constant(sides, [sides.length]), levelOf, 0), [1]); // [positions, 1]
  const extent = b.expand(side, [b.shapeOf(centers)]);
  const box = b.concat([centers, extent], 2);
  const inside = b.and(b.greater(b.reduceMin(box, [2]), BORDER), b.less(b.reduceMax(box, [2]), 1 - BORDER));
  const valid = b.and(inside, b.greater(mask, 0));
  return { logits: b.where(valid, b.log(b.div(box, b.sub(1, box))), INVALID), valid };
}

/**
 * Selects the queries.
 *
 * @param image encoded image [batch, positions, d_model]
 * @param text encoded text [batch, tokens, d_model]
 * @param textMask added to logits, [batch, 1, tokens]
 */
export function selectQueries(
  network: Network,
  config: Config,
  image: Value,
  text: Value,
  textMask: Value,
  proposal: Proposals,
): Selection {
  const { b } = network;
  const width = config.d_model;
  const candidates = network.layerNorm(
    'enc_output_norm',
    network.linear('enc_output', b.where(proposal.valid, image, 0), width, width),
    width,
    config.layer_norm_eps,
  );
  const logits = b.scope('query_selection', () =>
    b.reduceMax(b.add(b.matmul(candidates, b.transpose(text, [0, 2, 1])), textMask), [2], false),
  );
  const { indices } = b.topk(logits, b.integers(config.num_queries), 1);
  // Only the selected candidates need a box.
  const deltas = boxDeltas(network, config, b.gatherRows(candidates, indices));
  const boxes = b.sigmoid(b.add(deltas, b.gatherRows(proposal.logits, indices)));
  return { boxes, candidates, indices };
}

/** The offsets of the candidates' boxes from their proposals in logit space, [batch, candidates, 4]. */
export function boxDeltas(network: Network, config: Config, candidates: Value): Value {
  const { d_model: width } = config;
  return network.multilayerPerceptron('encoder_output_bbox_embed', candidates, [width, width, width, 4]);
}

/** Turns a boolean mask into numbers that are added to scores: 0 where it is true, `MASKED` where it is false. */
export function additiveMask(network: Network, allowed: Value): Value {
  return network.b.where(allowed, 0, MASKED);
}
