/**
 * The operators of `ai.dino8` that are linear layers in integers: one layer or two, with or without a residual sum and a layer
 * normalization behind them. dino8's library has kernels that take some rows at a time through all of it, so that what is
 * between never leaves the processor's caches; the bodies are the same in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import * as operators from '../../../onnx/dino8-operators.ts';
import { parseOperator } from '../../../onnx/parse-operator.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';
import { addResidual, roundingInputs } from './residual-sum.ts';

/** The parts of a block of linear layers. */
export interface LinearParts {
  readonly layers: 1 | 2;
  /** Whether a Gelu is between the two layers, before the quantization. */
  readonly hasGelu: boolean;
  /** Whether a residual sum and a layer normalization follow. */
  readonly hasNorm: boolean;
  /** Whether the layers read a layer normalization of x; the result of two layers is then added to x. */
  readonly hasNormBefore?: boolean;
  /** Whether the residual sum is of values in 8 bits (residual-sum.ts). */
  readonly isRounded?: boolean;
  /** Whether each row of the result is multiplied by a number. */
  readonly hasRowScale?: boolean;
}

const OPERATORS: readonly (readonly [operator: string, parts: LinearParts])[] = [
  [operators.INTEGER_LINEAR, { layers: 1, hasGelu: false, hasNorm: false }],
  [operators.INTEGER_LINEAR_SCALED, { layers: 1, hasGelu: false, hasNorm: false, hasRowScale: true }],
  [operators.NORM_INTEGER_LINEAR, { layers: 1, hasGelu: false, hasNorm: false, hasNormBefore: true }],
  [operators.INTEGER_LINEAR_ADD_NORM, { layers: 1, hasGelu: false, hasNorm: true }],
  [operators.FEED_FORWARD, { layers: 2, hasGelu: false, hasNorm: false }],
  [operators.FEED_FORWARD_ADD_NORM, { layers: 2, hasGelu: false, hasNorm: true }],
  [operators.FEED_FORWARD_GELU, { layers: 2, hasGelu: true, hasNorm: false }],
  [operators.FEED_FORWARD_GELU_ADD_NORM, { layers: 2, hasGelu: true, hasNorm: true }],
  [operators.NORM_FEED_FORWARD_GELU_ADD, { layers: 2, hasGelu: true, hasNorm: false, hasNormBefore: true }],
];

/** Returns the operator for a block. */
export function linearOperator(parts: LinearParts): string {
  const { layers, hasGelu, hasNorm, hasRowScale = false, hasNormBefore = false, isRounded = false } = parts;
  const found = OPERATORS.find(
    ([, each]) =>
      each.layers === layers &&
      each.hasGelu === hasGelu &&
      each.hasNorm === hasNorm &&
      (each.hasRowScale ?? false) === hasRowScale &&
      (each.hasNormBefore ?? false) === hasNormBefore,
  );
  const hasSum = hasNorm || (hasNormBefore && layers === 2);
  if (!found || (isRounded && !hasSum)) throw new Error('no operator has these parts of a block');
  return isRounded ? found[0] + operators.ROUNDED : found[0];
}

/** True for the operators of blocks of linear layers whose results are floats. */
export const isLinearOperator = (operator: string): boolean =>
  OPERATORS.some(([name]) => operator === name || operator === name + operators.ROUNDED);

/** The integer products of the functions of attention, projection, patches and proposals in the files beside this one. */
const PRODUCTS = {
  [operators.FUSION_ATTENTION]: 3,
  [operators.NORM_FUSION_ATTENTION_ADD]: 3,
  [operators.INTEGER_MULTI_HEAD_ATTENTION]: 2,
  [operators.PROJECTED_DEFORMABLE_ATTENTION]: 2,
  [operators.PROJECTION_FEED_FORWARD]: 3,
  [operators.PATCH_EMBEDDING]: 1,
  [operators.PATCH_MERGING]: 1,
  [operators.PROPOSAL_SCORES]: 1,
};
/** The integer products of window-attention-function.ts: the layers, and scores and values if they are integers. */
const WINDOW_PRODUCTS = { [operators.WINDOW_ATTENTION]: 2, [operators.INTEGER_WINDOW_ATTENTION]: 4 };

/** Returns the number of integer products in one of dino8's operators; 0 for all other operators. */
export function productsOf(operator: string): number {
  const { base, isRounded, isQuantized } = parseOperator(operator);
  const found = (products: Readonly<Record<string, number>>) =>
    Object.hasOwn(products, base) ? products[base] : undefined;
  const window = isQuantized ? undefined : found(WINDOW_PRODUCTS);
  const other = isRounded ? undefined : found(PRODUCTS);
  return window ?? other ?? OPERATORS.find(([name]) => base === name)?.[1].layers ?? 0;
}

/** True for a block that reads bytes: one layer without a normalization before it. */
const takesBytes = ({ layers, hasNormBefore = false }: LinearParts): boolean => layers === 1 && !hasNormBefore;

/** True for a block with a normalization before or behind its layers. */
const hasAnyNorm = ({ hasNorm, hasNormBefore = false }: LinearParts): boolean => hasNorm || hasNormBefore;

/**
 * Defines the function for a block. Its inputs:
 * - x [..., depth]: uint8 for one layer without a norm before it; else float, which is normalized or not and quantized first
 * - for each layer: the scale (float) and zero point (uint8) of the bytes that it reads; its weight, int8 in panels
 *   (packed-weight.ts); the scale of the weight, float [] or [columns]; its bias, float [columns]
 * - with a factor for each row: the factors [..., 1]
 * - with a norm: the residual [..., columns], and scale and bias [columns] of the normalization, whose `epsilon` is an attribute
 * - with a norm before the layers: its scale and bias [depth], and the same attribute
 * - if the residual sum is rounded: scale and zero point of the residual, of the layers' result, and of the sum (uint8)
 *
 * Output y float [..., columns].
 */
export function linearFunction(parts: LinearParts): FunctionProto {
  const b = new GraphBuilder(linearOperator(parts));
  const x = b.input('x', takesBytes(parts) ? DataType.UINT8 : DataType.FLOAT, []);
  const [first, second] = [layerInputs(b, 'first'), parts.layers === 2 ? layerInputs(b, 'second') : undefined];
  const addsX = parts.hasNormBefore && second;
  const residual = parts.hasNorm ? b.input('residual', DataType.FLOAT, []) : addsX ? x : undefined;
  const normInputs = hasAnyNorm(parts)
    ? ['norm_scale', 'norm_bias'].map((name) => b.input(name, DataType.FLOAT, []))
    : [];
  const norm = (value: Value) => {
    const [scale, bias] = normInputs;
    return scale && bias ? b.layerNormalization(value, scale, bias, 0) : value;
  };
  const rowScale = parts.hasRowScale ? b.input('row_scale', DataType.FLOAT, []) : undefined;
  const rounding = parts.isRounded ? roundingInputs(b) : [];
  let y = linearLayer(b, takesBytes(parts) ? x : quantizeFor(b, parts.hasNormBefore ? norm(x) : x, first), first);
  if (second) y = linearLayer(b, quantizeFor(b, parts.hasGelu ? b.gelu(y) : y, second), second);
  if (rowScale) y = b.mul(y, rowScale);
  if (residual) y = addResidual(b, residual, y, rounding);
  b.output('y', parts.hasNorm ? norm(y) : y);
  return referToEpsilon(b.finishFunction(operators.DOMAIN, hasAnyNorm(parts) ? ['epsilon'] : []));
}
