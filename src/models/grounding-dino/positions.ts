/** Sine position embeddings, and the inverse of the sigmoid that makes positions of logits. */
import type { Operand, Value } from '../../onnx/builder.ts';
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

/** log(x / (1 − x)), the inverse of the sigmoid, with x kept `epsilon` away from 0 and 1. */
export function inverseSigmoid(network: Network, x: Value, epsilon: number): Value {
  const { b } = network;
  const low = (value: Operand) => b.max(value, epsilon);
  const inside = b.clip(x, 0, 1);
  return b.log(b.div(low(inside), low(b.sub(1, inside))));
}
