/**
 * The feature levels of the image as one list of positions: which level, row and column each has, whether it is padding, its
 * centre and its sine embedding.
 *
 * The valid part of a picture is its upper left corner. So what depends on a row is computed once for each row of a level and
 * not for each of its positions, and the same for columns; rows and columns of all levels are one list of *lines*: the rows of
 * the first level, its columns, the rows of the second, and so on.
 */
import type { Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import type { Config } from './config.ts';
import type { Network } from './network.ts';
import { sineEmbedding } from './positions.ts';

/** The feature levels of the image. Positions are level by level, and in a level row by row. */
export interface Levels {
  /** [batch, positions, d_model] */
  readonly features: Value;
  /** The position embeddings, [batch, positions, d_model]. */
  readonly embeddings: Value;
  /** 1 for valid positions, else 0, as float [batch, positions, 1]. */
  readonly mask: Value;
  /** The centres of the positions as (x, y) in 0..1 of the valid part: [batch, positions, 2]. */
  readonly centers: Value;
  /** The index of each position's level, int64 [positions]. */
  readonly levelOf: Value;
  /** Height and width of each level, int64 [levels, 2]. */
  readonly sizes: Value;
  /** The valid part of each level as (width, height) in 0..1: [batch, levels, 2]. */
  readonly validRatios: Value;
}

/** @param maps the projected maps [batch, d_model, height, width] @param pixelMask [batch, height, width], boolean */
export function describeLevels(network: Network, config: Config, maps: readonly Value[], pixelMask: Value): Levels {
  const { b } = network;
  const { d_model: width, num_feature_levels: count } = config;
  const sizes = levelSizes(network, config, pixelMask);
  const lines = describeLines(network, sizes, pixelMask, count);
  const { levelOf, rowAndColumn } = placesOf(network, sizes, lines.starts);
  const columnAndRow = b.gather(rowAndColumn, b.integers(1, 0), 1);
  // Of the column for the half of an embedding that is of the row, and the other way around.
  const valid = b.gather(lines.valid, columnAndRow, 1); // [batch, positions, 2]
  const areSwapped = b.integers(1, 0); // (height, width) to (width, height)
  const validSizes = b.gather(b.reshape(lines.validCount, [0, count, 2]), areSwapped, 2);
  return {
    features: b.concat(
      maps.map((map) => b.transpose(b.reshape(map, [0, width, -1]), [0, 2, 1])),
      1,
    ),
    embeddings: embeddingsOf(network, config, lines, rowAndColumn, valid),
    mask: b.reduceProd(valid, [2]),
    centers: b.gather(lines.center, columnAndRow, 1),
    levelOf,
    sizes,
    validRatios: b.div(validSizes, b.cast(b.gather(sizes, areSwapped, 1), DataType.FLOAT)),
  };
}

/**
 * The height and width of each level, int64 [levels, 2]. They follow from the size of the mask and not from the maps, so that
 * nothing but the features depends on what the picture shows. The patch embedding and each further halving round up, and
 * ⌈⌈n / a⌉ / b⌉ = ⌈n / (a · b)⌉.
 */
function levelSizes(network: Network, config: Config, pixelMask: Value): Value {
  const { b } = network;
  const { patch_size: patch, out_indices: stages } = config.backbone_config;
  const count = config.num_feature_levels;
  const [firstStage = 1] = stages; // counted from 1
  const strides = BigInt64Array.from({ length: count }, (_, level) => BigInt(patch * 2 ** (firstStage - 1 + level)));
  const added = strides.map((stride) => stride - 1n);
  const side = b.unsqueeze(b.shapeOf(pixelMask, 1, 3), [0]);
  return b.div(b.add(side, b.constant(added, [count, 1])), b.constant(strides, [count, 1]));
}

/**
 * The position embeddings [batch, positions, d_model]: a half for the row and a half for the column of a position, both with the
 * embedding of its level added. Halves are rows of one table, of which there is one for each line, and one for the padding of
 * the rows and of the columns of each level: in the reference no valid position is counted in a padded row or column, so that
 * the position is 0 there.
 */
function embeddingsOf(network: Network, config: Config, lines: Lines, rowAndColumn: Value, valid: Value): Value {
  const { b } = network;
  const { d_model: width, num_feature_levels: count, positional_embedding_temperature: temperature } = config;
  const levels = b.outside(() => b.scope('model', () => network.parameter('level_embed', [count, width])));
  const halves = b.reshape(levels, [2 * count, width / 2]); // as the groups of lines are: the rows of a level, then its columns
  const ofLines = b.add(
    sineEmbedding(network, b.unsqueeze(lines.angle, [2]), width / 2, temperature),
    b.gather(halves, lines.group, 0),
  );
  const zero = b.constant(
    Float32Array.from({ length: width / 2 }, (_, channel) => channel % 2),
    [width / 2],
  );
  const ofPadding = b.expand(b.unsqueeze(b.add(zero, halves), [0]), [b.dimension(lines.angle, 0), 1, 1]);
  const padding = b.add(b.gather(lines.group, rowAndColumn, 0), b.dimension(lines.angle, 1));
  const half = b.where(b.greater(valid, 0), rowAndColumn, padding); // [batch, positions, 2]
  const joined = b.gatherRows(b.concat([ofLines, ofPadding], 1), b.reshape(half, [0, -1]));
  return b.reshape(joined, [0, -1, width]);
}

/** The rows and columns of all levels. */
interface Lines {
  /** The first line of the rows and of the columns of each level, int64 [2 · levels]. */
  readonly starts: Value;
  /** The number of the lines' rows or columns among those of all levels, int64 [lines]. */
  readonly group: Value;
  /** 1 for lines with valid positions, else 0, as float [batch, lines]. */
  readonly valid: Value;
  /** The number of valid rows and columns of each level, as float [batch, 2 · levels]. */
  readonly validCount: Value;
  /** The centre in 0..1 of the valid part, [batch, lines]. */
  readonly center: Value;
  /** The fraction of the valid part that ends with the line, times 2π (Carion et al. 2020, https://arxiv.org/abs/2005.12872). */
  readonly angle: Value;
}

function describeLines(network: Network, sizes: Value, pixelMask: Value, count: number): Lines {
  const { b } = network;
  const lengths = b.reshape(sizes, [-1]);
  const { starts, ends, group, within } = enumerate(network, lengths);

  // A map's mask is that of the pixels, resized by nearest neighbour as PyTorch's `interpolate` does.
  const first = (axis: number) => b.squeeze(b.slice(pixelMask, [0], [1], [axis]), [axis]);
  const pixels = b.concat([first(2), first(1)], 1); // rows of the picture, then its columns
  const isColumn = b.gather(b.integers(...Array.from({ length: 2 * count }, (_, line) => line % 2)), group, 0);
  const side = b.gather(b.shapeOf(pixelMask, 1, 3), isColumn, 0);
  const scale = b.div(b.cast(side, DataType.FLOAT), b.cast(b.gather(lengths, group, 0), DataType.FLOAT));
  const place = b.cast(within, DataType.FLOAT);
  const nearest = b.min(b.cast(b.floor(b.mul(place, scale)), DataType.INT64), b.sub(side, b.integers(1)));
  const source = b.add(nearest, b.mul(isColumn, b.dimension(pixelMask, 1)));
  const valid = b.cast(b.gather(pixels, source, 1), DataType.FLOAT);

  // The sum has a value of its own as its input: ONNX Runtime's converter to float16 leaves sums in float32, and names the
  // node that it puts before one after its input.
  const sum = b.cumsum(b.identity(valid), 1);
  const before = b.gather(b.sub(sum, valid), starts, 1);
  const validCount = b.sub(b.gather(sum, b.sub(ends, b.integers(1)), 1), before);
  const ofLine = (values: Value) => b.gather(values, group, 1);
  const total = ofLine(validCount);
  return {
    starts,
    group,
    valid,
    validCount,
    center: b.div(b.add(place, 0.5), total),
    angle: b.mul(b.div(b.sub(sum, ofLine(before)), b.add(total, 1e-6)), 2 * Math.PI),
  };
}

/** The level of each position, int64 [positions], and the lines that are its row and its column, int64 [positions, 2]. */
function placesOf(network: Network, sizes: Value, starts: Value): Record<'levelOf' | 'rowAndColumn', Value> {
  const { b } = network;
  const { group, within } = enumerate(network, b.reduceProd(sizes, [1], false));
  const width = b.gather(b.squeeze(b.slice(sizes, [1], [2], [1]), [1]), group, 0);
  const row = b.div(within, width);
  const column = b.sub(within, b.mul(row, width));
  const places = b.concat([b.unsqueeze(row, [1]), b.unsqueeze(column, [1])], 1);
  return { levelOf: group, rowAndColumn: b.add(places, b.gather(b.reshape(starts, [-1, 2]), group, 0)) };
}

/**
 * Numbers the members of groups that follow each other.
 * @param lengths the number of members of each group, int64 [groups]
 * @returns the first member of each group and the one after its last [groups]; for each member its group and its number in it
 */
function enumerate(network: Network, lengths: Value): Record<'starts' | 'ends' | 'group' | 'within', Value> {
  const { b } = network;
  const ends = b.cumsum(lengths, 0);
  const starts = b.sub(ends, lengths);
  const members = b.range(b.integer(0), b.reduceSum(lengths, [0], false), b.integer(1));
  const isAfter = b.greaterOrEqual(b.unsqueeze(members, [1]), b.unsqueeze(ends, [0]));
  const group = b.reduceSum(b.cast(isAfter, DataType.INT64), [1], false);
  return { starts, ends, group, within: b.sub(members, b.gather(starts, group, 0)) };
}
