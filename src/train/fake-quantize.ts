/**
 * Fake quantization rounds numbers to the integers of a scheme and back. It is the model-local function
 * `ai.dino8::FakeQuantize`. Its gradients are those of learned step sizes (LSQ, Esser et al. 2019,
 * https://arxiv.org/abs/1902.08153): the gradient of x passes unchanged within the range and is 0 outside of it, and the
 * scale has a gradient of its own.
 */
import type { Rule } from '../autodiff/rule.ts';
import { defined, GraphBuilder, type Operand, type Value } from '../onnx/builder.ts';
import { DOMAIN, FAKE_QUANTIZE, FAKE_QUANTIZE_GRADIENT } from '../onnx/dino8-operators.ts';
import { DataType, elementCount, type FunctionProto } from '../onnx/types.ts';
import type { Scheme } from '../quant/scheme.ts';

/** A value to round, and how. */
export interface FakeQuantization {
  readonly x: Value;
  /** Float of the rank of x with at most one dimension that is not 1, or a scalar. */
  readonly scale: Value;
  /** A whole number as float, with the shape of the scale or a scalar. */
  readonly zeroPoint: Operand;
  readonly scheme: Scheme;
  /** A scalar: if it is greater than 0, x is rounded; otherwise it passes unchanged. */
  readonly enabled: Value;
  /**
   * The number of elements that share a scale in one image. The gradient of the scale is divided by √(elements · highest),
   * as section 2.2 of the paper says.
   */
  readonly elements: number;
}

/** Adds fake quantization to a graph. @returns the rounded value, of the shape of x */
export function fakeQuantize(
  b: GraphBuilder,
  { x, scale, zeroPoint, scheme, enabled, elements }: FakeQuantization,
): Value {
  if (!b.definition(DOMAIN, FAKE_QUANTIZE)) {
    b.define(fakeQuantizeFunction());
    b.define(fakeQuantizeGradientFunction());
  }
  const factor = 1 / Math.sqrt(elements * scheme.highest);
  const inputs = [x, scale, zeroPoint, scheme.lowest, scheme.highest, factor, enabled];
  return defined(b.call(DOMAIN, FAKE_QUANTIZE, inputs)[0]);
}

/** The part that the function and its gradient share: x in steps, rounded and limited, and whether it is within the range. */
function steps(b: GraphBuilder) {
  const x = b.input('x', DataType.FLOAT, [undefined]);
  const scalar = (name: string) => b.input(name, DataType.FLOAT, []);
  const [scale, zeroPoint] = [scalar('scale'), scalar('zero_point')];
  const low = b.sub(scalar('lowest'), zeroPoint);
  const high = b.sub(scalar('highest'), zeroPoint);
  const [factor, enabled] = [scalar('gradient_factor'), scalar('enabled')];
  const ratio = b.div(x, scale);
  return {
    x,
    scale,
    ratio,
    factor,
    isEnabled: b.greater(enabled, 0),
    whole: b.round(b.min(b.max(ratio, low), high)),
    inside: b.and(b.greater(ratio, low), b.less(ratio, high)),
  };
}

/** The function. Inputs: see `FakeQuantization`. Output: clamp(round(x / scale)) · scale, or x. */
function fakeQuantizeFunction(): FunctionProto {
  const b = new GraphBuilder(FAKE_QUANTIZE);
  const { x, scale, whole, isEnabled } = steps(b);
  b.output('y', b.where(isEnabled, b.mul(whole, scale), x));
  return b.finishFunction(DOMAIN);
}

/** Its gradient. Inputs: those of the function, then the gradient of its output. Outputs: the gradients of x and of the scale. */
function fakeQuantizeGradientFunction(): FunctionProto {
  const b = new GraphBuilder(FAKE_QUANTIZE_GRADIENT);
  const { x, scale, ratio, whole, inside, factor, isEnabled } = steps(b);
  const gradient = b.input('gradient', DataType.FLOAT, [undefined]);
  b.output('x_gradient', b.where(isEnabled, b.where(inside, gradient, 0), gradient));
  const slope = b.mul(gradient, b.where(inside, b.sub(whole, ratio), whole));
  // The gradient is summed over the axes along which the scale was broadcast, leading axes that it lacks included.
  const missing = b.expand(b.integers(1), [b.sub(b.shapeOf(b.shapeOf(x)), b.shapeOf(b.shapeOf(scale)))]);
  const dimensions = b.concat([missing, b.shapeOf(scale)], 0);
  const axes = b.reshape(b.nonZero(b.equal(dimensions, b.integers(1))), [-1]);
  const sum = b.reshape(b.reduceSumOver(slope, axes), [b.shapeOf(scale)]);
  b.output('scale_gradient', b.where(isEnabled, b.mul(sum, factor), 0));
  return b.finishFunction(DOMAIN);
}

/** The rule by which `differentiate` computes the gradients of fake quantization. */
export const FAKE_QUANTIZE_RULES: Readonly<Record<string, Rule>> = {
  [`${DOMAIN}::${FAKE_QUANTIZE}`]: ({ b, inputs, gradients: [gradient] }) =>
    gradient ? b.call(DOMAIN, FAKE_QUANTIZE_GRADIENT, [...inputs, gradient], {}, 2) : [],
};

/**
 * The number of elements that share a scale in one image.
 * @param shape of the value
 * @param scales the number of scales of the value
 * @param images the number of images in the value
 */
export function elementsPerScale(shape: readonly number[], scales: number, images = 1): number {
  return elementCount(shape) / scales / images;
}
