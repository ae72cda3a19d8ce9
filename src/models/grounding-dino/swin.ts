/**
 * The Swin Transformer backbone (Liu et al. 2021, https://arxiv.org/abs/2103.14030). Feature maps are channels-last,
 * [batch, height, width, channels]; windows are padded to whole ones on the right and at the bottom.
 */
import type { Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import type { SwinConfig } from './config.ts';
import type { Network } from './network.ts';

/** The number that is added to the score of two tokens that a shifted window brings together from opposite borders. */
const ACROSS_BORDERS = -100;

/**
 * Builds the backbone.
 *
 * @param pixels normalised pixels [batch, 3, height, width]
 * @returns the normalised maps of the stages that `out_indices` names, each [batch, channels, height, width]
 */
export function swin(network: Network, config: SwinConfig, pixels: Value): Value[] {
  const { b } = network;
  let x = b.scope('embeddings', () => patchEmbedding(network, config, pixels));
  const masks = b.scope('encoder.windows', () => shiftMasks(network, config.window_size));
  const maps: Value[] = [];
  for (const [stage, depth] of config.depths.entries()) {
    const channels = config.embed_dim * 2 ** stage;
    x = b.scope(`encoder.layers.${stage}`, () => stageBlocks(network, config, x, stage, depth, masks));
    if (config.out_indices.includes(stage + 1))
      maps.push(
        b.scope('hidden_states_norms', () =>
          b.transpose(network.layerNorm(`stage${stage + 1}`, x, channels, 1e-5), [0, 3, 1, 2]),
        ),
      );
    if (stage + 1 < config.depths.length)
      x = b.scope(`encoder.layers.${stage}.downsample`, () => patchMerging(network, x, channels));
  }
  return maps;
}

/** Pads the two `axes` (height and width) with zeros at the end, up to multiples of `unit`. */
function padToMultiple(network: Network, x: Value, unit: number, axes: [number, number]): Value {
  const { b } = network;
  const size = b.shapeOf(x, axes[0], axes[1] + 1);
  // Mod takes the sign of the divisor, so −size mod unit is the distance to the next multiple.
  return b.padEnd(x, b.mod(b.sub(b.integers(0), size), b.integers(unit)), axes);
}

/** A strided convolution whose patches do not overlap is a matrix product, and as such leaves its result channels-last. */
function patchEmbedding(network: Network, config: SwinConfig, pixels: Value): Value {
  const { b } = network;
  const { embed_dim: channels, patch_size: patch, num_channels: colours } = config;
  const inputs = colours * patch * patch;
  const padded = padToMultiple(network, pixels, patch, [2, 3]);
  const counts = b.div(b.shapeOf(padded, 2, 4), b.integers(patch));
  const [rows, columns] = network.pair(counts);
  const cut = b.transpose(b.reshape(padded, [0, colours, rows, patch, columns, patch]), [0, 2, 4, 1, 3, 5]);
  const embedded = b.scope('patch_embeddings.projection', () => {
    const weight = b.reshape(network.parameter('weight', [channels, colours, patch, patch]), [channels, inputs]);
    const product = b.matmul(b.reshape(cut, [0, rows, columns, inputs]), b.transpose(weight, [1, 0]));
    return b.add(product, network.parameter('bias', [channels]));
  });
  return network.layerNorm('norm', embedded, channels, config.layer_norm_eps);
}

/** Merges each 2x2 neighbourhood into one position with twice the channels (section 3.1 of the paper). */
function patchMerging(network: Network, x: Value, channels: number): Value {
  const { b } = network;
  const even = padToMultiple(network, x, 2, [1, 2]);
  const half = b.div(b.shapeOf(even, 1, 3), b.integers(2));
  const [rows, columns] = network.pair(half);
  const pairs = b.reshape(even, [0, rows, 2, columns, 2, channels]);
  // The order of the four neighbours in the checkpoints: column outermost, then row.
  const joined = b.reshape(b.transpose(pairs, [0, 1, 3, 4, 2, 5]), [0, rows, columns, 4 * channels]);
  return network.linear(
    'reduction',
    network.layerNorm('norm', joined, 4 * channels, 1e-5),
    4 * channels,
    2 * channels,
    false,
  );
}

/** Values that depend only on the size of the map, shared by the blocks of a stage. */
interface Windows {
  readonly size: number;
  /** Height and width of the map, as a vector. */
  readonly mapSize: Value;
  /** The number of windows along the height, as a vector of one element. */
  readonly rows: Value;
  /** The number of windows along the width, as a vector of one element. */
  readonly columns: Value;
  /** [windows, 1, tokens, tokens], added to the scores in shifted windows. */
  readonly shiftMask: Value;
}

function stageBlocks(
  network: Network,
  config: SwinConfig,
  input: Value,
  stage: number,
  depth: number,
  masks: Value,
): Value {
  const { b } = network;
  const windows = b.scope('windows', () => planWindows(network, input, config.window_size, masks));
  let x = input;
  for (let block = 0; block < depth; block++)
    x = b.scope(`blocks.${block}`, () => swinBlock(network, config, x, stage, windows, block % 2 === 1));
  return x;
}

/** @param masks of the four kinds of windows, [4, 1, tokens, tokens] */
function planWindows(network: Network, x: Value, size: number, masks: Value): Windows {
  const { b } = network;
  const mapSize = b.shapeOf(x, 1, 3);
  const counts = b.div(b.add(mapSize, b.integers(size - 1)), b.integers(size));
  const [rows, columns] = network.pair(counts);
  return { size, mapSize, rows, columns, shiftMask: b.gather(masks, kindsOfWindows(network, rows, columns), 0) };
}

/**
 * After a cyclic shift, tokens of different regions must not attend to each other (figure 4 of the paper). Only the windows of the
 * last row and of the last column hold several regions, so that there are four kinds of windows, whose masks are constants:
 * [4, 1, tokens, tokens].
 */
function shiftMasks({ b }: Network, size: number): Value {
  const regions = b.constant(regionsOfKinds(size), [4, size ** 2]);
  const same = b.equal(b.unsqueeze(regions, [1]), b.unsqueeze(regions, [2]));
  return b.unsqueeze(b.where(same, 0, ACROSS_BORDERS), [1]);
}

/** The kind of each window, row by row: 2 more in the last row, and 1 more in the last column; int64 [windows]. */
function kindsOfWindows({ b }: Network, rows: Value, columns: Value): Value {
  const isLast = (count: Value) => {
    const length = b.squeeze(count, [0]);
    return b.cast(b.equal(b.range(b.integer(0), length, b.integer(1)), b.sub(length, b.integer(1))), DataType.INT64);
  };
  return b.reshape(b.add(b.unsqueeze(b.mul(isLast(rows), b.integers(2)), [1]), isLast(columns)), [-1]);
}

/**
 * The region of each token of a window that is in neither the last row nor the last column, in the last column, in the last row, and in
 * both: int64 [4, tokens].
 */
function regionsOfKinds(size: number): BigInt64Array {
  const tokens = size * size;
  const border = size - Math.floor(size / 2);
  return BigInt64Array.from({ length: 4 * tokens }, (_, at) => {
    const [kind, token] = [Math.floor(at / tokens), at % tokens];
    const isBelow = kind >= 2 && Math.floor(token / size) >= border;
    const isRight = kind % 2 === 1 && token % size >= border;
    return BigInt(2 * Number(isBelow) + Number(isRight));
  });
}

function swinBlock(
  network: Network,
  config: SwinConfig,
  x: Value,
  stage: number,
  windows: Windows,
  shifted: boolean,
): Value {
  const { b } = network;
  const channels = config.embed_dim * 2 ** stage;
  const hidden = Math.trunc(channels * config.mlp_ratio);
  const normed = network.layerNorm('layernorm_before', x, channels, config.layer_norm_eps);
  const shift = shifted ? Math.floor(windows.size / 2) : 0;
  const rolled = roll(network, padToMultiple(network, normed, windows.size, [1, 2]), shift);
  const tokens = partition(network, rolled, windows, channels);
  const heads = config.num_heads[stage] ?? 1;
  const attended = b.scope('attention', () => windowAttention(network, tokens, channels, heads, windows, shifted));
  const restored = roll(network, unite(network, attended, windows, channels), -shift);
  const cropped = b.slice(restored, [0, 0], [windows.mapSize], [1, 2]);
  const residual = b.add(x, cropped);
  const after = network.layerNorm('layernorm_after', residual, channels, config.layer_norm_eps);
  const forward = (part: Value) => {
    const inner = b.scope('intermediate', () => b.gelu(network.linear('dense', part, channels, hidden)));
    return b.scope('output', () => network.linear('dense', inner, hidden, channels));
  };
  // Only the maps of the first stages are large.
  return b.add(residual, stage < 2 ? network.inParts(after, 1, hidden, forward) : forward(after));
}

/** Moves a map up and to the left by `shift` positions, cyclically. */
function roll(network: Network, x: Value, shift: number): Value {
  const { b } = network;
  const END = 2 ** 31 - 1;
  const along = (map: Value, axis: number) =>
    b.concat([b.slice(map, [shift], [END], [axis]), b.slice(map, [0], [shift], [axis])], axis);
  return shift === 0 ? x : along(along(x, 1), 2);
}

/** Reshapes [batch, height, width, channels] to [batch · windows, tokens, channels]. */
function partition(network: Network, x: Value, { size, rows, columns }: Windows, channels: number): Value {
  const { b } = network;
  const split = b.reshape(x, [0, rows, size, columns, size, channels]);
  return b.reshape(b.transpose(split, [0, 1, 3, 2, 4, 5]), [-1, size * size, channels]);
}

/** The inverse of `partition`. */
function unite(network: Network, tokens: Value, { size, rows, columns }: Windows, channels: number): Value {
  const { b } = network;
  const split = b.reshape(tokens, [-1, rows, columns, size, size, channels]);
  const height = b.mul(rows, b.integers(size));
  const width = b.mul(columns, b.integers(size));
  return b.reshape(b.transpose(split, [0, 1, 3, 2, 4, 5]), [-1, height, width, channels]);
}

/** Attention within windows [batch · windows, tokens, channels], with relative position bias. */
function windowAttention(
  network: Network,
  x: Value,
  channels: number,
  heads: number,
  windows: Windows,
  shifted: boolean,
): Value {
  const { b } = network;
  const tokens = windows.size ** 2;
  const context = b.scope('self', () => {
    const bias = relativePositionBias(network, windows.size, heads);
    const mask = shifted ? b.add(windows.shiftMask, bias) : bias; // [windows or 1, heads, tokens, tokens]
    const perBatch = (value: Value) =>
      b.reshape(value, [-1, b.mul(windows.rows, windows.columns), heads, tokens, tokens]);
    const [query, key, value] = network.projections(['query', 'key', 'value'], x, channels);
    const keyTransposed = b.transpose(b.reshape(key, [0, 0, heads, -1]), [0, 2, 3, 1]);
    const scaled = b.mul(network.splitHeads(query, heads), 1 / Math.sqrt(channels / heads));
    const scores = b.matmul(scaled, keyTransposed);
    const biased = shifted
      ? b.reshape(b.add(perBatch(scores), mask), [-1, heads, tokens, tokens])
      : b.add(scores, mask);
    return network.mergeHeads(b.matmul(b.softmax(biased), network.splitHeads(value, heads)));
  });
  return b.scope('output', () => network.linear('dense', context, channels, channels));
}

/** The learned bias for each head and each offset between two tokens of a window, [heads, tokens, tokens]. */
function relativePositionBias(network: Network, size: number, heads: number): Value {
  const { b } = network;
  const span = 2 * size - 1;
  const tokens = size * size;
  const indices = BigInt64Array.from({ length: tokens * tokens }, (_, pair) => {
    const [from, to] = [Math.floor(pair / tokens), pair % tokens];
    const rows = Math.floor(from / size) - Math.floor(to / size) + size - 1;
    return BigInt(rows * span + (from % size) - (to % size) + size - 1);
  });
  const table = network.parameter('relative_position_bias_table', [span * span, heads]);
  return b.transpose(b.gather(table, b.constant(indices, [tokens, tokens]), 0), [2, 0, 1]);
}
