/** The image side of the network: from pixels and text features to logits and boxes. */
import type { Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import { classSimilarity, maskedLogits } from './class-head.ts';
import { type Config, GROUPS } from './config.ts';
import { decoder, type ExtraQueries } from './decoder.ts';
import { deformableAttentionFunction } from './deformable-attention.ts';
import { encoder } from './encoder.ts';
import { describeLevels } from './levels.ts';
import type { Network } from './network.ts';
import { sineTable, TEMPERATURE } from './positions.ts';
import { additiveMask, proposals, selectQueries } from './query-selection.ts';
import type { Stages } from './stages.ts';
import { swin } from './swin.ts';
import { trainedStages } from './training/trained-stages.ts';

/** The inputs of the image side. */
export interface DetectInputs {
  /** Normalised pixels [batch, 3, height, width]. */
  readonly pixels: Value;
  /** True for pixels of the image, false for padding, [batch, height, width]. */
  readonly validPixels: Value;
  /** Projected text features [batch, tokens, d_model]. */
  readonly textFeatures: Value;
  readonly text: TextMasks;
  /** The number of denoising queries, and a function that builds them from the encoded text; in training only. */
  readonly extra?: { readonly count: number; readonly build: (encodedText: Value) => ExtraQueries } | undefined;
}

/** Positions and masks of a prompt. */
interface TextMasks {
  /** Positions within the phrase [batch, tokens], int64. */
  readonly positions: Value;
  /** True where the token of a row may attend to the token of a column, [batch, tokens, tokens], boolean. */
  readonly selfAttentionMask: Value;
  /** True for tokens that are not padding, [batch, tokens], boolean. */
  readonly tokenMask: Value;
}

/**
 * Builds the image side of the network.
 *
 * @returns every stage by name, with `logits` [batch, queries, max_text_len] and `pred_boxes` (cx, cy, w, h) in 0..1
 *   [batch, queries, 4]
 */
export function detector(network: Network, config: Config, inputs: DetectInputs): Stages {
  const { b } = network;
  b.define(deformableAttentionFunction(config.num_feature_levels));
  return b.scope('model', () => detectorBody(network, config, inputs));
}

function detectorBody(network: Network, config: Config, inputs: DetectInputs): Stages {
  const { b } = network;
  const maps = b.scope('backbone.conv_encoder.model', () => swin(network, config.backbone_config, inputs.pixels));
  const projections = projectMaps(network, config, maps);
  const { levels, references, validRatios, imageMask } = b.scope('levels', () => {
    const levels = describeLevels(network, config, projections, inputs.validPixels);
    const { sizes, mask, centers } = levels;
    const extents = b.unsqueeze(b.cast(b.gather(sizes, b.integers(1, 0), 1), DataType.FLOAT), [0]); // (width, height)
    const validRatios = b.unsqueeze(levels.validRatios, [1]); // [batch, 1, levels, 2]
    return {
      levels,
      references: {
        points: b.mul(b.unsqueeze(centers, [2]), validRatios),
        offsetScale: b.unsqueeze(b.div(1, extents), [0]), // [1, 1, levels, 2]
      },
      validRatios: b.concat([validRatios, validRatios], 3),
      imageMask: additiveMask(network, b.unsqueeze(b.greater(b.squeeze(mask, [2]), 0), [1])),
    };
  });

  const text = b.scope('text', () => ({
    positions: textPositions(network, config, inputs.text.positions),
    mask: additiveMask(network, b.unsqueeze(inputs.text.tokenMask, [1])), // [batch, 1, tokens]
    phraseMask: additiveMask(network, b.unsqueeze(inputs.text.selfAttentionMask, [1])),
  }));
  const textMask = b.scope('text', () => b.unsqueeze(text.mask, [1]));

  const encoded = encoder(
    network,
    config,
    { image: levels.features, text: inputs.textFeatures },
    {
      imagePositions: levels.embeddings,
      imageMask,
      validPositions: levels.mask,
      spatialShapes: levels.sizes,
      references,
      textPositions: text.positions,
      textMask,
      phraseMask: text.phraseMask,
    },
  );

  const proposal = b.scope('proposals', () => proposals(network, config, levels));
  const selection = selectQueries(network, config, encoded.image, encoded.text, text.mask, proposal);
  const layers = decoder(network, config, network.detach(selection.boxes), {
    memory: { features: encoded.image, mask: levels.mask, spatialShapes: levels.sizes },
    text: encoded.text,
    textMask,
    validRatios,
    extra: inputs.extra?.build(encoded.text),
  });
  const last = layers.at(-1);
  if (!last) throw new Error('the decoder has at least one layer');

  const similarities = classSimilarity(network, config, last, encoded.text, layers.length - 1);

  const stack = (values: Value[]) =>
    b.concat(
      values.map((value) => b.unsqueeze(value, [1])),
      1,
    );
  return {
    ...Object.fromEntries(maps.map((map, level) => [`backbone_map_${level}`, map])),
    ...Object.fromEntries(projections.map((map, level) => [`input_proj_${level}`, map])),
    encoder_vision: encoded.image,
    encoder_text: encoded.text,
    init_reference_points: selection.boxes,
    decoder_hidden_states: stack(layers.map((layer) => layer.hidden)),
    decoder_reference_points: stack(layers.map((layer) => layer.references)),
    logits: b.scope('class_head', () => maskedLogits(network, config, similarities, inputs.text.tokenMask)),
    pred_boxes: last.boxes,
    ...(network.detached
      ? trainedStages(
          network,
          config,
          { layers, similarities, text: encoded.text, selection, proposal },
          inputs.extra?.count,
        )
      : {}),
  };
}

/** Projects the maps of the backbone by a 1x1 convolution each; further levels come from a strided 3x3 convolution of the last map. */
function projectMaps(network: Network, config: Config, maps: readonly Value[]): Value[] {
  const { b } = network;
  const { embed_dim: base, depths } = config.backbone_config;
  const first = depths.length - maps.length; // the stage of the first map, counted from 0
  const levels: Value[] = [];
  for (let level = 0; level < config.num_feature_levels; level++) {
    const extra = level - maps.length;
    const source = (extra < 0 ? maps[level] : extra === 0 ? maps.at(-1) : levels.at(-1)) as Value; // there are maps
    const channels = extra > 0 ? config.d_model : base * 2 ** (first + Math.min(level, maps.length - 1));
    levels.push(
      b.scope(`input_proj_vision.${level}`, () => projectMap(network, config, source, channels, extra < 0 ? 1 : 3)),
    );
  }
  return levels;
}

function projectMap(network: Network, config: Config, map: Value, channels: number, kernel: 1 | 3): Value {
  const { b } = network;
  const width = config.d_model;
  const convolved = b.scope('0', () =>
    b.conv(
      map,
      network.parameter('weight', [width, channels, kernel, kernel]),
      network.parameter('bias', [width]),
      kernel,
      kernel === 1 ? 1 : 2,
      kernel === 1 ? 0 : 1,
    ),
  );
  return b.scope('1', () => groupNorm(network, convolved, width));
}

/** GroupNorm (Wu and He 2018, https://arxiv.org/abs/1803.08494): an InstanceNorm whose channels are groups, then a scale and a bias per channel. */
function groupNorm(network: Network, x: Value, width: number): Value {
  const { b } = network;
  const one = b.constant(new Float32Array(GROUPS).fill(1), [GROUPS]);
  const zero = b.constant(new Float32Array(GROUPS), [GROUPS]);
  const grouped = b.instanceNormalization(b.reshape(x, [0, GROUPS, -1]), one, zero, 1e-5);
  const perChannel = (name: string) => b.reshape(network.parameter(name, [width]), [width, 1, 1]);
  const normed = b.reshape(grouped, [b.shapeOf(x)]);
  return b.add(b.mul(normed, perChannel('weight')), perChannel('bias'));
}

/** Looks up the embeddings of positions within phrases: from [batch, tokens] to [batch, tokens, d_model]. */
function textPositions(network: Network, config: Config, positions: Value): Value {
  const { b } = network;
  const table = sineTable(config.max_text_len, config.d_model, TEMPERATURE, config.whole_text_positions);
  return b.gather(b.constant(table, [config.max_text_len, config.d_model]), positions, 0);
}
