/**
 * Language-guided query selection (https://arxiv.org/abs/2303.05499, section 3.3): every image position proposes a box;
 * those that match a token best become the queries of the decoder.
 */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import { MASKED, type Network } from './network.ts';
import { centers, type Level } from './positions.ts';

/** Width and height of a proposal on the finest level, doubled on each next one. */
const SMALLEST_PROPOSAL = 0.05;
/** Proposals this near to the border are invalid. */
const BORDER = 0.01;
/** The logit of an invalid proposal: its sigmoid is exactly 1, as that of the reference's +inf, and it is finite. */
const INVALID = 1e4;

/** The proposals of all levels. */
export interface Proposals {
  /** Box logits (cx, cy, w, h), [batch, positions, 4]. */
  readonly logits: Value;
  /** [batch, positions, 1], boolean: inside of the image and not at its border. */
  readonly valid: Value;
}

/** The queries that were selected. */
export interface Selection {
  /** Reference boxes (cx, cy, w, h) in 0..1, [batch, queries, 4]. */
  readonly boxes: Value;
  /** Features of all proposals [batch, positions, d_model], and which of them are the queries [batch, queries]. */
  readonly candidates: Value;
  readonly indices: Value;
}

export function proposals(network: Network, levels: readonly Level[], validPositions: Value): Proposals {
  const { b } = network;
  const boxes = levels.map((level, index) => {
    const center = centers(network, level);
    const size = b.scalar(SMALLEST_PROPOSAL * 2 ** index);
    return b.concat([center, b.expand(size, [b.shapeOf(center)])], 2);
  });
  const box = b.concat(boxes, 1);
  const inside = b.and(b.greater(b.reduceMin(box, [2]), BORDER), b.less(b.reduceMax(box, [2]), 1 - BORDER));
  const valid = b.and(inside, b.greater(validPositions, 0));
  return { logits: b.where(valid, b.log(b.div(box, b.sub(1, box))), INVALID), valid };
}

/**
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

/** How far the boxes of candidates are from where they are proposed, in logit space. */
export function boxDeltas(network: Network, config: Config, candidates: Value): Value {
  const { d_model: width } = config;
  return network.multilayerPerceptron('encoder_output_bbox_embed', candidates, [width, width, width, 4]);
}

/** Added to logits over tokens: 0 for a token of the prompt, `MASKED` for padding. token mask: boolean. */
export function additiveMask(network: Network, allowed: Value): Value {
  return network.b.where(allowed, 0, MASKED);
}
