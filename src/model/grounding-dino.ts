/**
 * GroundingDINO as ONNX models. `combined` takes what Hugging Face's model takes; `text` and `detect` are its two
 * halves, cut where the text features pass from one to the other, so that a prompt is encoded once for many images.
 */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import { extractModel } from '../onnx/extract.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import { DataType } from '../onnx/types.ts';
import { foldConstants } from '../runtime/fold-constants.ts';
import type { LoadedCheckpoint } from './checkpoint/hugging-face.ts';
import type { Config } from './config.ts';
import { detector, type Stages } from './detect-graph.ts';
import { Network } from './network.ts';
import { phraseMasks } from './phrase-masks.ts';
import { textEncoder } from './text-graph.ts';
import { Weights } from './weights.ts';

export type GraphKind = 'text' | 'detect' | 'combined';

/** The inputs and outputs of the halves, which are values of the whole. */
export const INTERFACES = {
  text: {
    inputs: ['input_ids', 'position_ids', 'text_self_attention_mask'],
    outputs: ['text_features'],
  },
  detect: {
    inputs: [
      'pixel_values',
      'valid_pixels',
      'text_features',
      'position_ids',
      'text_self_attention_mask',
      'text_token_mask',
    ],
    outputs: ['logits', 'pred_boxes'],
  },
} as const;

export interface BuildOptions {
  /** Intermediate results to give out as well, by the names of `Stages`. */
  readonly stages?: readonly string[];
  /** How errors name the checkpoint. */
  readonly source?: string;
}

/**
 * Builds the combined model from a checkpoint. Batch, height, width and text length stay dynamic; what depends only
 * on weights is computed now. Weights that go into the model as they are are shared with the checkpoint.
 * @throws InputError that lists every tensor that is missing or mis-shaped
 */
export async function buildModel({ config, tensors }: LoadedCheckpoint, options: BuildOptions = {}): Promise<Model> {
  const b = new GraphBuilder('grounding-dino');
  const weights = new Weights(b, tensors);
  const stages = combinedGraph(new Network(b, weights), config);
  weights.check(options.source ?? 'The checkpoint');
  for (const name of [...INTERFACES.detect.outputs, ...(options.stages ?? [])]) {
    const value = stages[name];
    if (!value) throw new Error(`there is no stage ${name}`);
    b.output(name, value, declaredShape(name, config) ?? value.shape);
  }
  const model = b.finish();
  removeUnused(model);
  await foldConstants(model);
  return model;
}

/** Half of a combined model, quantized or not. Weights are shared with it. */
export function extractHalf(model: Model, kind: 'text' | 'detect'): Model {
  return extractModel(model, INTERFACES[kind].inputs, INTERFACES[kind].outputs);
}

function combinedGraph(network: Network, config: Config): Stages {
  const { b } = network;
  const pixels = b.input('pixel_values', DataType.FLOAT, ['batch', 3, 'height', 'width']);
  const tokens = b.input('input_ids', DataType.INT64, ['batch', 'tokens']);
  const attentionMask = b.input('attention_mask', DataType.INT64, ['batch', 'tokens']);
  const pixelMask = b.input('pixel_mask', DataType.INT64, ['batch', 'height', 'width']);
  const boundary = (name: string, value: Value) => b.named(name, value);
  const { positions, selfAttentionMask, tokenMask, validPixels } = b.scope('prompt', () => ({
    ...phraseMasks(network, tokens),
    tokenMask: boundary('text_token_mask', b.cast(attentionMask, DataType.BOOL)),
    validPixels: boundary('valid_pixels', b.cast(pixelMask, DataType.BOOL)),
  }));
  const { hidden, features } = textEncoder(network, config, { tokens, positions, selfAttentionMask });
  const text = { positions, selfAttentionMask, tokenMask };
  const stages = detector(network, config, { pixels, validPixels, textFeatures: features, text });
  return { ...stages, text_features: features, bert_last_hidden_state: hidden };
}

/** What shape inference cannot know from arithmetic on shapes. */
function declaredShape(name: string, config: Config) {
  if (name === 'logits') return ['batch', config.num_queries, config.max_text_len];
  if (name === 'pred_boxes') return ['batch', config.num_queries, 4];
  return undefined;
}
