/**
 * GroundingDINO as ONNX models. The combined model has the inputs of Hugging Face's model. It can be cut into two halves,
 * `text` and `detect`, at the text features, so that a prompt is encoded once for many images.
 */

import { checkFields } from '../../base/check-options.ts';
import { InputError } from '../../base/errors.ts';
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import { extractModel } from '../../onnx/extract.ts';
import type { Model } from '../../onnx/read.ts';
import { removeUnused, sortTopologically } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type Shape } from '../../onnx/types.ts';
import { declarationsWithin, makeValueInfo, valueInfoToTensorInfo } from '../../onnx/value-info.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';
import { refuseFixedPrompt } from '../fixed-prompt.ts';
import type { LoadedCheckpoint } from './checkpoint/hugging-face.ts';
import type { Config } from './config.ts';
import { type DetectInputs, detector } from './detect-graph.ts';
import { Network } from './network.ts';
import { phraseMasks } from './phrase-masks.ts';
import type { Stages } from './stages.ts';
import { textEncoder } from './text-graph.ts';
import { INTERFACES, VALID_PIXELS } from './value-names.ts';
import { Weights } from './weights.ts';

/** Which graph is built: the text encoder, the detector that takes its results, or both in one. */
export type GraphKind = 'text' | 'detect' | 'combined';

/** Options of `buildModel`. */
export interface BuildOptions {
  /** Further outputs: intermediate values by the names of `Stages`. */
  readonly stages?: readonly string[];
  /** The name of the checkpoint in errors. */
  readonly source?: string;
}

/**
 * Builds the combined model from a checkpoint. Batch, height, width and text length stay dynamic; values that depend only
 * on weights are computed now. The model shares unchanged weights with the checkpoint.
 *
 * @throws InputError that lists every tensor that is missing or has another shape
 * @example
 * const model = await buildModel(await readHuggingFace('grounding-dino-tiny'));
 * await writeModel(model, 'tiny.onnx');
 */
export async function buildModel(checkpoint: LoadedCheckpoint, options: BuildOptions = {}): Promise<Model> {
  checkFields('The checkpoint must be what `readCheckpoint` returned', checkpoint, 'config', 'tensors');
  checkFields('The options must be an object', options);
  const { config, tensors } = checkpoint;
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

/**
 * Cuts one half out of a combined model, quantized or not. The half shares the model's weights.
 *
 * @throws InputError if the model lacks the values at which it is cut
 * @example
 * const text = extractHalf(model, 'text');
 */
export function extractHalf(model: Model, kind: 'text' | 'detect'): Model {
  checkModelArgument(model);
  refuseFixedPrompt(model, model.graph.name);
  const made = new Set([
    ...model.graph.input.map(({ name }) => name),
    ...model.graph.node.flatMap((node) => node.output),
  ]);
  // A model that is specialised to images without padding has no mask of valid pixels.
  const inputs = INTERFACES[kind].inputs.filter((name) => name !== VALID_PIXELS || made.has(name));
  return extractModel(model, inputs, INTERFACES[kind].outputs, [noTypes()]);
}

/** The input of the combined model for token types, which Hugging Face's processor makes. They are 0 in every prompt. */
const TOKEN_TYPES = 'token_type_ids';

/** The token types of the half `text`, which has no input for them. */
const noTypes = () => makeTensor(TOKEN_TYPES, [1, 1], BigInt64Array.of(0n));

/** Gives a combined model of a former version the input for token types, which has no effect there. */
export function addTokenTypes({ graph }: Model): void {
  const tokens = graph.input.findIndex(({ name }) => name === 'input_ids');
  const ids = graph.input[tokens];
  const isCombined = graph.input.some(({ name }) => name === 'pixel_values');
  if (!ids || !isCombined || graph.input.some(({ name }) => name === TOKEN_TYPES)) return;
  const shape = valueInfoToTensorInfo(ids)?.shape;
  graph.input = graph.input.toSpliced(tokens + 1, 0, makeValueInfo(TOKEN_TYPES, DataType.INT64, shape));
}

/**
 * The combined model of two halves, the inverse of `extractHalf`. Nodes and weights that both have are in the result once.
 *
 * @throws InputError if they are not the halves of a model
 */
export function joinHalves(text: Model, detect: Model): Model {
  const find = (half: Model, name: string) => {
    const found = half.graph.input.find((input) => input.name === name);
    if (!found) throw new InputError(`${half.graph.name} has no input ${name}; is it half of a model made by dino8?`);
    return valueInfoToTensorInfo(found)?.shape;
  };
  const b = new GraphBuilder('grounding-dino');
  promptGraph(new Network(b, new Weights(b, new Map())), {
    pixels: find(detect, 'pixel_values'),
    tokens: find(text, 'input_ids'),
    tokenMask: find(detect, 'text_token_mask'),
    // A model that is specialised to images without padding has no mask of valid pixels.
    pixelMask: detect.graph.input.some(({ name }) => name === VALID_PIXELS) ? find(detect, VALID_PIXELS) : undefined,
  });
  const joined = b.finish();
  const { graph } = joined;
  const parts = [graph, text.graph, detect.graph];
  // Names come from the one model that both were cut from, and the masks of the prompt were built first in it too.
  graph.initializer = uniqueBy(
    parts.flatMap((part) => part.initializer),
    (tensor) => tensor.name,
  ).filter(({ name }) => name !== TOKEN_TYPES);
  const stored = new Set(graph.initializer.map((tensor) => tensor.name));
  graph.node = uniqueBy(
    parts.flatMap((part) => part.node),
    (node) => node.output[0] ?? '',
  ).filter((node) => !stored.has(node.output[0] ?? ''));
  graph.output = detect.graph.output;
  joined.functions = detect.functions;
  joined.opsetImport = detect.opsetImport;
  joined.metadataProps = text.metadataProps;
  removeUnused(joined);
  sortTopologically(graph);
  const declared = [...text.graph.valueInfo, ...detect.graph.valueInfo];
  graph.valueInfo = declarationsWithin(
    graph,
    uniqueBy(declared, ({ name }) => name),
  );
  return joined;
}

function uniqueBy<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  return [...new Map(items.map((item) => [keyOf(item), item])).values()];
}

const DYNAMIC = {
  pixels: ['batch', 3, 'height', 'width'],
  tokens: ['batch', 'tokens'],
  tokenMask: ['batch', 'tokens'],
  pixelMask: ['batch', 'height', 'width'],
};

/**
 * The inputs of the combined model, and the masks that follow from them.
 * @param hasTypes whether token types are an input; otherwise all tokens are of type 0
 */
function promptGraph(
  network: Network,
  shapes: { [Input in keyof typeof DYNAMIC]: Shape | undefined },
  hasTypes = true,
) {
  const { b } = network;
  const pixels = b.input('pixel_values', DataType.FLOAT, shapes.pixels ?? DYNAMIC.pixels);
  const tokens = b.input('input_ids', DataType.INT64, shapes.tokens ?? DYNAMIC.tokens);
  const tokenTypes = hasTypes ? b.input(TOKEN_TYPES, DataType.INT64, shapes.tokens ?? DYNAMIC.tokens) : b.integer(0);
  const attentionMask = b.input('attention_mask', DataType.INT64, shapes.tokenMask ?? DYNAMIC.tokenMask);
  const pixelMask = b.input('pixel_mask', DataType.INT64, shapes.pixelMask ?? DYNAMIC.pixelMask);
  const boundary = (name: string, value: Value) => b.named(name, value);
  const masks = b.scope('prompt', () => ({
    ...phraseMasks(network, tokens),
    tokenMask: boundary('text_token_mask', b.cast(attentionMask, DataType.BOOL)),
    validPixels: boundary(VALID_PIXELS, b.cast(pixelMask, DataType.BOOL)),
  }));
  return { pixels, tokens, tokenTypes, ...masks };
}

/** What a training graph has in addition to the combined model, or does without. */
export interface TrainingParts {
  /** Whether token types are an input, as by default. */
  readonly hasTypes?: boolean;
  /** Denoising queries. */
  readonly extra?: DetectInputs['extra'];
}

/** Builds the whole network, with the inputs of the combined model. */
export function combinedGraph(
  network: Network,
  config: Config,
  { hasTypes = true, extra }: TrainingParts = {},
): Stages {
  const { pixels, tokens, tokenTypes, positions, selfAttentionMask, tokenMask, validPixels } = promptGraph(
    network,
    DYNAMIC,
    hasTypes,
  );
  const { hidden, features } = textEncoder(network, config, {
    tokens,
    tokenTypes,
    positions,
    selfAttentionMask,
  });
  const text = { positions, selfAttentionMask, tokenMask };
  const stages = detector(network, config, { pixels, validPixels, textFeatures: features, text, extra });
  return { ...stages, text_features: features, bert_last_hidden_state: hidden };
}

/** Shapes of outputs that shape inference cannot know. */
function declaredShape(name: string, config: Config) {
  if (name === 'logits') return ['batch', config.num_queries, config.max_text_len];
  if (name === 'pred_boxes') return ['batch', config.num_queries, 4];
  return undefined;
}
