/** GroundingDINO as ONNX models: `text`, `detect`, or both as `combined`. */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import { DataType } from '../onnx/types.ts';
import { foldConstants } from '../runtime/fold-constants.ts';
import type { LoadedCheckpoint } from './checkpoint/hugging-face.ts';
import type { Config } from './config.ts';
import { declareDetectInputs, detector, type Stages } from './detect-graph.ts';
import { Network } from './network.ts';
import { phraseMasks } from './phrase-masks.ts';
import { declareTextInputs, TEXT_FEATURES, textEncoder } from './text-graph.ts';
import { Weights } from './weights.ts';

export type GraphKind = 'text' | 'detect' | 'combined';

export interface BuildOptions {
  /** Intermediate results to give out as well, by the names of `Stages`. */
  readonly stages?: readonly string[];
  /** How errors name the checkpoint. */
  readonly source?: string;
}

/**
 * Builds a model from a checkpoint. Batch, height, width and text length stay dynamic; what depends only on weights
 * is computed now. The weights are shared with the checkpoint where they go into the model as they are.
 * @throws InputError that lists every tensor that is missing or mis-shaped
 */
export async function buildModel(kind: GraphKind, checkpoint: LoadedCheckpoint, options: BuildOptions = {}): Promise<Model> {
  const { config, tensors } = checkpoint;
  const b = new GraphBuilder(`grounding-dino.${kind}`);
  const weights = new Weights(b, tensors);
  const stages = builders[kind](new Network(b, weights), config);
  weights.check(options.source ?? 'The checkpoint');
  for (const name of [...results[kind], ...(options.stages ?? [])]) {
    const value = stages[name];
    if (value) b.output(name, value, declaredShape(name, config) ?? value.shape);
  }
  const model = b.finish();
  removeUnused(model);
  await foldConstants(model);
  return model;
}

const results: Record<GraphKind, readonly string[]> = {
  text: [TEXT_FEATURES],
  detect: ['logits', 'pred_boxes'],
  combined: ['logits', 'pred_boxes'],
};

const builders: Record<GraphKind, (network: Network, config: Config) => Stages> = {
  text: (network, config) => {
    const { hidden, features } = textEncoder(network, config, declareTextInputs(network));
    return { [TEXT_FEATURES]: features, bert_last_hidden_state: hidden };
  },
  detect: (network, config) => detector(network, config, declareDetectInputs(network, config)),
  combined: combinedGraph,
};

/** The inputs of Hugging Face's own model, for tools that want one file. */
function combinedGraph(network: Network, config: Config): Stages {
  const { b } = network;
  const pixels = b.input('pixel_values', DataType.FLOAT, ['batch', 3, 'height', 'width']);
  const tokens = b.input('input_ids', DataType.INT64, ['batch', 'tokens']);
  const attentionMask = b.input('attention_mask', DataType.INT64, ['batch', 'tokens']);
  const pixelMask = b.input('pixel_mask', DataType.INT64, ['batch', 'height', 'width']);
  const boolean = (value: Value) => b.cast(value, DataType.BOOL);
  return b.scope('prompt', () => {
    const masks = phraseMasks(network, tokens);
    const text = { ...masks, tokenMask: boolean(attentionMask) };
    const validPixels = boolean(pixelMask);
    return b.outside(() => {
      const { hidden, features } = textEncoder(network, config, { tokens, ...masks });
      const stages = detector(network, config, { pixels, pixelMask: validPixels, textFeatures: features, text });
      return { ...stages, [TEXT_FEATURES]: features, bert_last_hidden_state: hidden };
    });
  });
}

/** What shape inference cannot know from arithmetic on shapes. */
function declaredShape(name: string, config: Config) {
  if (name === 'logits') return ['batch', config.num_queries, config.max_text_len];
  if (name === 'pred_boxes') return ['batch', config.num_queries, 4];
  return undefined;
}
