/**
 * The gradient of layer normalisation over the last axis (Ba et al. 2016, https://arxiv.org/abs/1607.06450) as the
 * model-local function `ai.dino8::LayerNormalizationGradient`.
 */
import { GraphBuilder, type Operand, type Value } from '../../onnx/builder.ts';
import { DOMAIN, LAYER_NORMALIZATION_GRADIENT } from '../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../onnx/types.ts';

/**
 * Inputs: x […, channels], scale [channels], the scalar epsilon, and the gradient of the result […, channels].
 * Outputs: the gradients of x […, channels], of scale [channels] and of bias [channels].
 *
 * With x̂ the normalised x, σ its standard deviation and h the gradient times the scale:
 * dx = (h − mean(h) − x̂ · mean(h · x̂)) / σ, dscale = Σ gradient · x̂, dbias = Σ gradient.
 */
function layerNormalizationGradientFunction(): FunctionProto {
  const b = new GraphBuilder(LAYER_NORMALIZATION_GRADIENT);
  const anyRows = [undefined, undefined];
  const x = b.input('x', DataType.FLOAT, anyRows);
  const scale = b.input('scale', DataType.FLOAT, [undefined]);
  const epsilon = b.input('epsilon', DataType.FLOAT, []);
  const gradient = b.input('gradient', DataType.FLOAT, anyRows);
  const rows = (value: Value) => b.reshape(value, [-1, b.dimension(scale, 0)]);
  const centred = b.sub(rows(x), b.reduceMean(rows(x), [1]));
  const deviation = b.sqrt(b.add(b.reduceMean(b.mul(centred, centred), [1]), epsilon));
  const normed = b.div(centred, deviation);
  const scaled = b.mul(rows(gradient), scale);
  const along = b.mul(normed, b.reduceMean(b.mul(scaled, normed), [1]));
  const result = b.div(b.sub(b.sub(scaled, b.reduceMean(scaled, [1])), along), deviation);
  b.output('x_gradient', b.reshape(result, [b.shapeOf(x)]));
  b.output('scale_gradient', b.reduceSum(b.mul(rows(gradient), normed), [0], false));
  b.output('bias_gradient', b.reduceSum(rows(gradient), [0], false));
  return b.finishFunction(DOMAIN);
}

/** Calls the function: the gradients of `x`, `scale` and the bias, in this order. */
export function layerNormalizationGradient(
  b: GraphBuilder,
  { x, scale, epsilon, gradient }: { x: Value; scale: Value; epsilon: Operand; gradient: Value },
): Value[] {
  b.define(layerNormalizationGradientFunction());
  return b.call(DOMAIN, LAYER_NORMALIZATION_GRADIENT, [x, scale, epsilon, gradient], {}, 3);
}
