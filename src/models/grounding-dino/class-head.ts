/** How well each query fits each token: the contrastive head of GroundingDINO, and MM-Grounding-DINO's form of it. */
import type { Value } from '../../onnx/builder.ts';
import type { Config } from './config.ts';
import type { DecoderLayerOutput } from './decoder.ts';
import type { Network } from './network.ts';

/** The head of a decoder layer that has a bias, in MM-Grounding-DINO: each layer has its own where box heads are not shared. */
function classHead(config: Config, layer: number): string | undefined {
  if (config.model_type !== 'mm-grounding-dino') return undefined;
  return `class_embed.${config.decoder_bbox_embed_share ? 0 : layer}`;
}

/**
 * The similarity of every query to every token [batch, queries, tokens]. MM-Grounding-DINO scales it and adds the bias
 * of the head `biased` (Zhao et al. 2024, https://arxiv.org/abs/2401.02361).
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

/** What a decoder layer's class head answers. */
export function classSimilarity(
  network: Network,
  config: Config,
  { hidden }: DecoderLayerOutput,
  text: Value,
  layer: number,
): Value {
  return network.b.scope('class_head', () => similarity(network, config, hidden, text, classHead(config, layer)));
}

/** The similarities of the last layer, −inf for tokens that are not there, [batch, queries, max_text_len]. */
export function maskedLogits(network: Network, config: Config, similarities: Value, tokenMask: Value): Value {
  const { b } = network;
  const masked = b.where(b.unsqueeze(tokenMask, [1]), similarities, Number.NEGATIVE_INFINITY);
  const missing = b.sub(b.integers(config.max_text_len), b.extent(tokenMask, 1));
  return b.padEnd(masked, missing, [2], Number.NEGATIVE_INFINITY);
}
