/** The affine map between real numbers and integers: q = clamp(round(x / scale) + zeroPoint), x̂ = (q − zeroPoint) · scale. */

import { checkFields } from '../base/check-options.ts';
import { roundHalfToEven } from '../base/round.ts';

/** A closed range of real numbers. */
export interface Range {
  /** The minimum. */
  readonly min: number;
  /** The maximum; not below the minimum. */
  readonly max: number;
}

/** The integers that numbers are mapped to. */
export interface Scheme {
  /** The lowest integer. */
  readonly lowest: number;
  /** The highest integer. */
  readonly highest: number;
  /** True if the zero point is 0 and the range is centred on it. */
  readonly symmetric: boolean;
}

/** Activations on x64: ONNX Runtime's kernels take unsigned integers with a zero point. */
export const UINT8: Scheme = { lowest: 0, highest: 255, symmetric: false };
/**
 * The second operand of a product of two activations on x64: the numbers of UINT8 with all integers lower by 128. The
 * instructions that multiply bytes take unsigned ones on one side and signed ones on the other.
 */
export const SHIFTED_INT8: Scheme = { lowest: -128, highest: 127, symmetric: false };
/** Weights: −128 is not used, so that the negative of every integer is one as well. */
export const INT8: Scheme = { lowest: -127, highest: 127, symmetric: true };

/** How a weight becomes integers. All schemes are symmetric. */
export interface WeightScheme {
  /** The number of bits of an integer. */
  readonly bits: 8 | 4;
  /** With 4 bits: the number of rows of a channel that share a multiple of its scale; 0 for the whole channel. */
  readonly block: number;
  /** Whether each output channel has its own scale. */
  readonly per: 'channel' | 'tensor';
  /** `min-max`: the range of a channel ends at its largest magnitude; `mse`: where the squared error is smallest. */
  readonly observer: 'min-max' | 'mse';
}

/** The scheme of rules that state none: 8 bits, and a scale for each output channel from its largest magnitude. */
export const DEFAULT_WEIGHT_SCHEME: WeightScheme = { bits: 8, block: 0, per: 'channel', observer: 'min-max' };

/** True for the scheme of rules that state none; a block has no effect on 8 bits. */
export const isDefaultScheme = ({ bits, per, observer }: WeightScheme): boolean =>
  bits === DEFAULT_WEIGHT_SCHEME.bits &&
  per === DEFAULT_WEIGHT_SCHEME.per &&
  observer === DEFAULT_WEIGHT_SCHEME.observer;

/** The largest integer of a weight, by its number of bits. */
export const HIGHEST_OF_BITS: Readonly<Record<WeightScheme['bits'], number>> = { 8: 127, 4: 7 };

/** The parameters of the affine map. */
export interface Affine {
  /** The real number that one step of the integers stands for. */
  readonly scale: number;
  /** The integer that stands for 0. */
  readonly zeroPoint: number;
}

/** The smallest scale: a tensor whose elements are all zero is still divided by its scale. */
export const SMALLEST_SCALE = 2 ** -100;

/**
 * Returns scale and zero point for a range, which is first widened to contain 0, so that 0 is represented exactly
 * (Jacob et al. 2017, https://arxiv.org/abs/1712.05877, section 2.1).
 * @example
 * affineOf({ min: -1, max: 3 }, { lowest: 0, highest: 255, symmetric: false }); // { scale: 4 / 255, zeroPoint: 64 }
 */
export function affineOf(range: Range, scheme: Scheme): Affine {
  checkFields('The range must have a minimum and a maximum', range, 'min', 'max');
  const min = Math.min(0, range.min);
  const max = Math.max(0, range.max);
  const steps = scheme.highest - scheme.lowest;
  if (scheme.symmetric) return { scale: Math.max(Math.max(-min, max) / scheme.highest, SMALLEST_SCALE), zeroPoint: 0 };
  const scale = Math.max((max - min) / steps, SMALLEST_SCALE);
  const zeroPoint = Math.min(Math.max(scheme.lowest + roundHalfToEven(-min / scale), scheme.lowest), scheme.highest);
  return { scale, zeroPoint };
}

/** The integer of a number: the nearest one, clamped to the scheme. */
export function quantize(x: number, { scale, zeroPoint }: Affine, scheme: Scheme): number {
  return Math.min(Math.max(roundHalfToEven(x / scale) + zeroPoint, scheme.lowest), scheme.highest);
}

/** The number that an integer stands for. */
export function dequantize(q: number, { scale, zeroPoint }: Affine): number {
  return (q - zeroPoint) * scale;
}
