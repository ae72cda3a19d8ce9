/** The gradient of GELU as the model-local function `ai.dino8::GeluGradient`. */
import { defined, GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DOMAIN, GELU_GRADIENT } from '../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../onnx/types.ts';

/**
 * GELU is x · Φ(x) (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415), with Φ from the error function. Inputs: x
 * and the gradient of the result, of any equal shape. Output: the gradient of x, gradient · (Φ(x) + x · φ(x)).
 */
function geluGradientFunction(): FunctionProto {
  const b = new GraphBuilder(GELU_GRADIENT);
  const x = b.input('x', DataType.FLOAT, [undefined]);
  const gradient = b.input('gradient', DataType.FLOAT, [undefined]);
  const cumulative = b.mul(b.add(b.erf(b.mul(x, Math.SQRT1_2)), 1), 0.5);
  const density = b.mul(b.exp(b.mul(b.mul(x, x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
  b.output('x_gradient', b.mul(gradient, b.add(cumulative, b.mul(x, density))));
  return b.finishFunction(DOMAIN);
}

/** Calls the function: the gradient of `x` from that of gelu(x). */
export function geluGradient(b: GraphBuilder, x: Value, gradient: Value): Value {
  b.define(geluGradientFunction());
  return defined(b.call(DOMAIN, GELU_GRADIENT, [x, gradient])[0]);
}
