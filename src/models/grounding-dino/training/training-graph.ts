/** The network as a graph for training: its weights are inputs, and the logits and boxes of every layer are outputs. */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { removeUnused } from '../../../onnx/rewrite.ts';
import { DataType } from '../../../onnx/types.ts';
import type { Head, Parameter, TrainingGraph, TrainingGraphOptions } from '../../training-family.ts';
import type { LoadedCheckpoint } from '../checkpoint/hugging-face.ts';
import type { Config } from '../config.ts';
import { combinedGraph } from '../grounding-dino.ts';
import { Network } from '../network.ts';
import { Weights } from '../weights.ts';

/** The heads of the denoising queries: one for each decoder layer. */
export function extraHeads(config: Config): Head[] {
  return Array.from({ length: config.decoder_layers }, (_, layer) => ({
    name: `denoising.${layer}`,
    logits: `extra_logits_${layer}`,
    boxes: `extra_boxes_${layer}`,
  }));
}

/**
 * The inputs of a graph with extra queries. `tokens` [batch, extra, tokens] holds the fraction that each token has in the
 * content of a query, `boxes` [batch, extra, 4] the boxes (cx, cy, w, h), and `mask` [all, all] is added to the scores of the
 * decoder's self-attention.
 */
export const EXTRA_INPUTS = { tokens: 'extra_tokens', boxes: 'extra_boxes', mask: 'extra_mask' } as const;

/** The heads of the network's own queries: one for each decoder layer, and that of the encoder's selected proposals. */
export function trainedHeads(config: Config): Head[] {
  const layers = Array.from({ length: config.decoder_layers }, (_, layer) => ({
    name: `decoder.layers.${layer}`,
    logits: `logits_${layer}`,
    boxes: `boxes_${layer}`,
  }));
  return [...layers, { name: 'encoder', logits: 'query_logits', boxes: 'query_boxes' }];
}

/**
 * Builds the training graph of a checkpoint, for inputs of any size.
 * @throws InputError that lists every tensor that is missing or has another shape
 */
export function buildTrainingGraph(
  { config, tensors }: LoadedCheckpoint,
  { stages: names = [], source = 'The checkpoint', extra = 0 }: TrainingGraphOptions = {},
): TrainingGraph {
  const b = new GraphBuilder('grounding-dino');
  const parameters = new Map<string, Parameter>();
  const detached: string[] = [];
  const weights = new Weights(b, tensors, parameters);
  const stages = combinedGraph(new Network(b, weights, detached), config, {
    hasTypes: false,
    extra: extraQueries(b, config, extra),
  });
  weights.check(source);
  const heads = [...trainedHeads(config), ...(extra > 0 ? extraHeads(config) : [])].flatMap(({ logits, boxes }) => [
    logits,
    boxes,
  ]);
  for (const name of [...heads, ...names]) {
    const value = stages[name];
    if (!value) throw new Error(`there is no stage ${name}`);
    b.output(name, value);
  }
  const model = b.finish();
  removeUnused(model);
  return { model, parameters, detached };
}

/** The queries that come before those of the network; undefined if there are none. */
function extraQueries(b: GraphBuilder, config: Config, count: number) {
  if (count === 0) return undefined;
  const all = count + config.num_queries;
  return {
    count,
    build: (text: Value) => ({
      content: b.matmul(b.input(EXTRA_INPUTS.tokens, DataType.FLOAT, ['batch', count, 'tokens']), text),
      references: b.input(EXTRA_INPUTS.boxes, DataType.FLOAT, ['batch', count, 4]),
      mask: b.input(EXTRA_INPUTS.mask, DataType.FLOAT, [all, all]),
    }),
  };
}
