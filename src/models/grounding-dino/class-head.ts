/** The contrastive class head of GroundingDINO and MM-Grounding-DINO: the similarity of each query to each token. */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import type { DecoderLayerOutput } from './decoder.ts';
import type { Network } from './network.ts';

/** The module that holds the bias of a decoder layer's head. Only MM-Grounding-DINO has one; each layer has its own unless box heads are shared. */
function classHead(config: Config, layer: number): string | undefined {
  if (config.model_type !== 'mm-grounding-dino') return undefined;
  return `class_embed.${config.decoder_bbox_embed_share ? 0 : layer}`;
}

/**
 * The similarity of every query to every token. MM-Grounding-DINO scales it and adds a bias
 * (Zhao et al. 2024, https://arxiv.org/abs/2401.02361).
 *
 * @param hidden features of the queries [batch, queries, d_model]
 * @param text features of the tokens [batch, tokens, d_model]
 * @param biased the module that holds the bias; undefined for a head without one
 * @returns logits [batch, queries, tokens]
 */
export function similarity(
  network: Network,
  config: Config,
  hidden: Value,
  text: Value,
  biased: string | undefined,
): Value {
  const { b } = network;
  const product = b.matmul(hidden, b.transpose(text, [0, 2, 1]));
  if (biased === undefined) return product;
  const bias = b.outside(() => b.scope(biased, () => network.parameter('bias', [])));
  return b.add(b.mul(product, 1 / Math.sqrt(config.d_model)), bias);
}

/** The logits of a decoder layer's class head, [batch, queries, tokens]. `text`: token features [batch, tokens, d_model]. */
export function classSimilarity(
  network: Network,
  config: Config,
  { hidden }: DecoderLayerOutput,
  text: Value,
  layer: number,
): Value {
  return network.b.scope('class_head', () => similarity(network, config, hidden, text, classHead(config, layer)));
}

/**
 * The logits that the model gives out: −inf for padding and up to the maximum length of text.
 *
 * @param similarities of the last layer [batch, queries, tokens]
 * @param tokenMask true for tokens that are not padding [batch, tokens]
 * @returns [batch, queries, max_text_len]
 */
export function maskedLogits(network: Network, config: Config, similarities: Value, tokenMask: Value): Value {
  const { b } = network;
  const masked = b.where(b.unsqueeze(tokenMask, [1]), similarities, Number.NEGATIVE_INFINITY);
  const missing = b.sub(b.integers(config.max_text_len), b.dimension(tokenMask, 1));
  return b.padEnd(masked, missing, [2], Number.NEGATIVE_INFINITY);
}
