/**
 * The gradient of a model-local function is a model-local function again, whose body is the differentiated body. If a kernel
 * with the name of the gradient function is loaded, ONNX Runtime uses it instead of the body.
 */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import { DataType, type FunctionProto } from '../onnx/types.ts';
import { type Differentiation, gradientName } from './differentiation.ts';
import { type Rule, rankOf } from './rule.ts';

type Differentiate = (model: Model, options: Differentiation) => Model;

/**
 * The rule of the function `body`, which has one output. The gradient function takes the inputs of the function and the
 * gradient of its output, and returns the gradients of the wanted inputs. Its name lists these inputs, so that a kernel of
 * that name computes exactly them.
 * @param differentiate the function of differentiate.ts, which uses this rule; a parameter, so that the files do not import
 * each other
 */
export function functionRule(body: FunctionProto, differentiate: Differentiate): Rule {
  return ({ b, inputs, gradients, wanted }) => {
    const [gradient] = gradients;
    if (!gradient || gradients.length !== 1) throw new Error('only functions with one output have a gradient');
    const names = body.input.filter((_, index) => wanted[index]);
    const name = `${body.name}Gradient_${names.join('_')}`;
    if (!b.definition(body.domain, name))
      for (const made of gradientFunctions(body, name, { inputs, gradient, names, differentiate })) b.define(made);
    const results = b.call(body.domain, name, [...inputs, gradient], {}, names.length);
    return body.input.map((input) => results[names.indexOf(input)]);
  };
}

/** A call of the function. */
interface Call {
  readonly inputs: readonly Value[];
  readonly gradient: Value;
  /** The formal parameters whose gradients are wanted. */
  readonly names: readonly string[];
  readonly differentiate: Differentiate;
}

/**
 * The gradient function of `body`, after the functions that it calls.
 *
 * One function serves calls with inputs of any size, so that only their types and ranks are taken from the call. Vectors of
 * integers are an exception: they describe shapes, so their length is a part of the function.
 */
function gradientFunctions(
  body: FunctionProto,
  name: string,
  { inputs, gradient, names, differentiate }: Call,
): FunctionProto[] {
  const b = new GraphBuilder(name);
  const declare = (input: string, value: Value) =>
    b.input(
      input,
      value.type ?? DataType.FLOAT,
      value.type === DataType.INT64 && value.shape ? value.shape : new Array<undefined>(rankOf(value)).fill(undefined),
    );
  for (const [index, input] of body.input.entries()) declare(input, inputs[index] as Value); // one argument for each
  const arriving = declare(`${body.output[0]}.gradient`, gradient);
  b.addNodes(body.node);
  // By the chain rule, the wanted gradients are those of the scalar Σ result · gradient.
  const product = b.mul(b.value(body.output[0] ?? ''), arriving);
  const axes = Array.from({ length: rankOf(gradient) }, (_, axis) => axis);
  const total = b.reduceSum(product, axes, false);
  const derived = differentiate(b.finish(), { loss: total.name, parameters: names });
  const results = new Set(names.map(gradientName));
  derived.graph.output = derived.graph.output.filter((output) => results.has(output.name));
  removeUnused(derived);
  return [...derived.functions, new GraphBuilder(name, derived).finishFunction(body.domain)];
}
