/**
 * The operators of `ai.dino8` that are linear layers in integers: one layer or two, with or without a residual sum and a layer
 * normalization behind them. dino8's library has kernels that take some rows at a time through all of it, so that what is
 * between never leaves the processor's caches; the bodies are the same in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import * as operators from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { unpackWeight } from './packed-weight.ts';

/** The parts of a block of linear layers. */
export interface LinearParts {
  readonly layers: 1 | 2;
  /** Whether a Gelu is between the two layers, before the quantization. */
  readonly hasGelu: boolean;
  /** Whether a residual sum and a layer normalization follow. */
  readonly hasNorm: boolean;
  /** Whether each row of the result is multiplied by a number. */
  readonly hasRowScale?: boolean;
}

const OPERATORS: readonly (readonly [operator: string, parts: LinearParts])[] = [
  [operators.INTEGER_LINEAR, { layers: 1, hasGelu: false, hasNorm: false }],
  [operators.INTEGER_LINEAR_SCALED, { layers: 1, hasGelu: false, hasNorm: false, hasRowScale: true }],
  [operators.INTEGER_LINEAR_ADD_NORM, { layers: 1, hasGelu: false, hasNorm: true }],
  [operators.FEED_FORWARD, { layers: 2, hasGelu: false, hasNorm: false }],
  [operators.FEED_FORWARD_ADD_NORM, { layers: 2, hasGelu: false, hasNorm: true }],
  [operators.FEED_FORWARD_GELU, { layers: 2, hasGelu: true, hasNorm: false }],
  [operators.FEED_FORWARD_GELU_ADD_NORM, { layers: 2, hasGelu: true, hasNorm: true }],
];

/** Returns the operator for a block. */
export function linearOperator({ layers, hasGelu, hasNorm, hasRowScale = false }: LinearParts): string {
  const found = OPERATORS.find(
    ([, parts]) =>
      parts.layers === layers &&
      parts.hasGelu === hasGelu &&
      parts.hasNorm === hasNorm &&
      (parts.hasRowScale ?? false) === hasRowScale,
  );
  if (!found) throw new Error('there is no operator for one layer with a Gelu, or for scaled rows of another block');
  return found[0];
}

/** True for the operators of blocks of linear layers whose results are floats. */
export const isLinearOperator = (operator: string): boolean => OPERATORS.some(([name]) => name === operator);

/** The integer products of fusion-function.ts. */
const FUSION_PRODUCTS = 3;
/** The integer products of window-attention-function.ts; its scores and its values are products of floats. */
const WINDOW_PRODUCTS = 2;

/** Returns the number of integer products in one of dino8's operators; 0 for all other operators. */
export function productsOf(operator: string): number {
  if (operator === operators.FUSION_ATTENTION) return FUSION_PRODUCTS;
  if (operator === operators.WINDOW_ATTENTION) return WINDOW_PRODUCTS;
  return OPERATORS.find(([name]) => operator === name || operator === name + operators.QUANTIZED)?.[1].layers ?? 0;
}

/**
 * Defines the function for a block. Its inputs:
 * - x [..., depth]: uint8 for one layer; for two layers float, which is quantized first
 * - for each layer: the scale (float) and zero point (uint8) of the bytes that it reads; its weight, int8 in panels
 *   (packed-weight.ts); the scale of the weight, float [] or [columns]; its bias, float [columns]
 * - with a factor for each row: the factors [..., 1]
 * - with a norm: the residual [..., columns], and scale and bias [columns] of the normalization, whose `epsilon` is an attribute
 *
 * Output y float [..., columns].
 */
export function linearFunction(parts: LinearParts): FunctionProto {
  const b = new GraphBuilder(linearOperator(parts));
  const x = b.input('x', parts.layers === 1 ? DataType.UINT8 : DataType.FLOAT, []);
  const layer = (name: string) => ({
    range: [
      b.input(`${name}_input_scale`, DataType.FLOAT, []),
      b.input(`${name}_input_zero_point`, DataType.UINT8, []),
    ] as const,
    weight: b.input(`${name}_weight`, DataType.INT8, [undefined, undefined, undefined, undefined]),
    scale: b.input(`${name}_scale`, DataType.FLOAT, []),
    bias: b.input(`${name}_bias`, DataType.FLOAT, [undefined]),
  });
  const [first, second] = [layer('first'), parts.layers === 2 ? layer('second') : undefined];
  const norm = parts.hasNorm
    ? ['residual', 'norm_scale', 'norm_bias'].map((name) => b.input(name, DataType.FLOAT, []))
    : [];
  const rowScale = parts.hasRowScale ? b.input('row_scale', DataType.FLOAT, []) : undefined;
  const zero = b.constant(Int8Array.of(0), []);
  const quantize = (value: Value, { range }: typeof first) =>
    b.call('', 'QuantizeLinear', [value, ...range])[0] as Value;
  const apply = (bytes: Value, { range: [aScale, aZero], weight, scale, bias }: typeof first) => {
    const inputs = [bytes, unpackWeight(b, weight, bias), aScale, scale, aZero, zero, bias];
    return b.call(CONTRIB, INTEGER_PRODUCT, inputs)[0] as Value; // operators with one result
  };
  let y = apply(second ? quantize(x, first) : x, first);
  if (second) y = apply(quantize(parts.hasGelu ? b.gelu(y) : y, second), second);
  if (rowScale) y = b.mul(y, rowScale);
  const [residual, scale, bias] = norm;
  if (residual && scale && bias) y = b.layerNormalization(b.add(residual, y), scale, bias, 0);
  b.output('y', y);
  return referToEpsilon(b.finishFunction(operators.DOMAIN, parts.hasNorm ? ['epsilon'] : []));
}
