/** The gradient of the softmax over the last axis as the model-local function `ai.dino8::SoftmaxGradient`. */
import { defined, GraphBuilder, type Value } from '../../onnx/builder.ts';
import { DOMAIN, SOFTMAX_GRADIENT } from '../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../onnx/types.ts';

/** Inputs: y = softmax(x) and its gradient, [..., channels]. Output: the gradient of x, y · (gradient − Σ gradient · y). */
function softmaxGradientFunction(): FunctionProto {
  const b = new GraphBuilder(SOFTMAX_GRADIENT);
  const y = b.input('y', DataType.FLOAT, [undefined]);
  const gradient = b.input('gradient', DataType.FLOAT, [undefined]);
  const along = b.reduceSum(b.mul(gradient, y), [-1]);
  b.output('x_gradient', b.mul(y, b.sub(gradient, along)));
  return b.finishFunction(DOMAIN);
}

/** Calls the function: the gradient of x from y = softmax(x) and the gradient of y. */
export function softmaxGradient(b: GraphBuilder, y: Value, gradient: Value): Value {
  b.define(softmaxGradientFunction());
  return defined(b.call(DOMAIN, SOFTMAX_GRADIENT, [y, gradient])[0]);
}
