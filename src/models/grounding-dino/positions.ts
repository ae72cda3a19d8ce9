/** Sine position embeddings, and the valid part of each feature level, which follows from the mask of pixels. */
import type { Operand, Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import type { Network } from './network.ts';

/**
 * Sines and cosines of `position` [..., 1] at `size` / 2 wavelengths, interleaved to [..., size]
 * (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5).
 */
export function sineEmbedding(network: Network, position: Value, size: number, temperature: number): Value {
  const { b } = network;
  const wavelengths = Float32Array.from({ length: size / 2 }, (_, index) => temperature ** ((2 * index) / size));
  const angles = b.div(position, b.constant(wavelengths, [size / 2]));
  const rank = position.shape?.length ?? 0;
  const pairs = b.concat([b.unsqueeze(b.sin(angles), [rank]), b.unsqueeze(b.cos(angles), [rank])], rank);
  return b.reshape(pairs, [...Array.from({ length: rank - 1 }, () => 0), size]);
}

/** The temperature of every sine embedding but the image's. */
export const TEMPERATURE = 10_000;

/**
 * The sine embeddings of the positions 0 … count − 1, [count, size] row by row. Positions are multiplied by 2π, as those of
 * boxes are.
 *
 * @param whole truncates every value. transformers 5 computes (and trains with) truncated values, because it converts the
 *   embedding to the integer type of the positions. Earlier versions and the original code do not.
 */
export function sineTable(count: number, size: number, temperature: number, whole: boolean): Float32Array {
  return Float32Array.from({ length: count * size }, (_, index) => {
    const [position, channel] = [Math.floor(index / size), index % size];
    const wavelength = Math.fround(temperature ** ((2 * Math.floor(channel / 2)) / size));
    const angle = Math.fround(Math.fround(position * 2 * Math.PI) / wavelength);
    const value = Math.fround(channel % 2 === 0 ? Math.sin(angle) : Math.cos(angle));
    return whole ? Math.trunc(value) : value;
  });
}

/** One feature level of the image. */
export interface Level {
  /** Features [batch, positions, d_model]; positions are row by row. */
  readonly features: Value;
  /** 1 for valid positions, else 0, as float [batch, height, width]. */
  readonly mask: Value;
  /** Height and width, as a vector of two int64. */
  readonly size: Value;
  /** The number of valid rows, as float [batch, 1]. */
  readonly validHeight: Value;
  /** The number of valid columns, as float [batch, 1]. */
  readonly validWidth: Value;
}

/** Resizes the mask of pixels [batch, height, width] to the size of a map, by nearest neighbour as PyTorch's `interpolate` does. */
export function resizeMask(network: Network, mask: Value, size: Value): Value {
  const { b } = network;
  let result = mask;
  for (const axis of [1, 2]) {
    const from = b.dimension(mask, axis);
    const to = b.slice(size, [axis - 1], [axis], [0]);
    const scale = b.div(b.cast(from, DataType.FLOAT), b.cast(to, DataType.FLOAT));
    const places = b.cast(b.range(b.integer(0), b.squeeze(to, [0]), b.integer(1)), DataType.FLOAT);
    const nearest = b.cast(b.floor(b.mul(places, scale)), DataType.INT64);
    result = b.gather(result, b.min(nearest, b.sub(from, b.integers(1))), axis);
  }
  return result;
}

/** The number of valid rows and columns of a mask whose valid part is its upper left corner. */
export function validExtents(network: Network, mask: Value): { validHeight: Value; validWidth: Value } {
  const { b } = network;
  const first = (axis: number) => b.squeeze(b.slice(mask, [0], [1], [axis]), [axis]);
  return { validHeight: b.reduceSum(first(2), [1]), validWidth: b.reduceSum(first(1), [1]) };
}

/**
 * The normalised sine position embedding of a level, [batch, positions, width]: rows in the first half of the channels,
 * columns in the second (Carion et al. 2020, https://arxiv.org/abs/2005.12872).
 */
export function imagePositions(network: Network, mask: Value, width: number, temperature: number): Value {
  const { b } = network;
  const LAST = [2 ** 31 - 1];
  const embed = (axis: number) => {
    // Each sum has a value of its own as its input: ONNX Runtime's converter to float16 leaves sums in float32, and names the
    // nodes that it puts before them after their input.
    const count = b.cumsum(b.identity(mask), axis);
    const total = b.slice(count, [-1], LAST, [axis]);
    const angle = b.mul(b.div(count, b.add(total, 1e-6)), 2 * Math.PI);
    return sineEmbedding(network, b.unsqueeze(angle, [3]), width / 2, temperature);
  };
  return b.reshape(b.concat([embed(1), embed(2)], 3), [0, -1, width]);
}

/** The centres of a level's positions as (x, y) in 0..1 of the valid part: [batch, positions, 2]. */
export function centers(network: Network, level: Level): Value {
  const { b } = network;
  const [height, width] = network.pair(level.size);
  const along = (count: Value, valid: Value) => {
    const index = b.range(b.integer(0), b.squeeze(count, [0]), b.integer(1));
    return b.div(b.add(b.cast(index, DataType.FLOAT), 0.5), valid); // [batch, count]
  };
  const batch = b.dimension(level.mask, 0);
  const grid = (line: Value, axis: number) => b.expand(b.unsqueeze(line, [axis, 3]), [batch, height, width, 1]);
  const x = grid(along(width, level.validWidth), 1);
  const y = grid(along(height, level.validHeight), 2);
  return b.reshape(b.concat([x, y], 3), [0, -1, 2]);
}

/** log(x / (1 − x)), the inverse of the sigmoid, with x kept `epsilon` away from 0 and 1. */
export function inverseSigmoid(network: Network, x: Value, epsilon: number): Value {
  const { b } = network;
  const low = (value: Operand) => b.max(value, epsilon);
  const inside = b.clip(x, 0, 1);
  return b.log(b.div(low(inside), low(b.sub(1, inside))));
}
