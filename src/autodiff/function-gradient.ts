/**
 * The gradient of a model-local function, which is a model-local function again: its body is the function's body,
 * differentiated. Where a kernel of that name is loaded it takes the body's place.
 */
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import { DataType, type FunctionProto } from '../onnx/types.ts';
import { type Differentiation, gradientName } from './differentiation.ts';
import { type Rule, rankOf } from './rule.ts';

type Differentiate = (model: Model, options: Differentiation) => Model;

/**
 * The rule of the function `body`, which has one output. The gradient function takes the inputs of the function and
 * the gradient of its output, and gives the gradients of the wanted inputs. Its name lists these: a kernel computes
 * what it is named after.
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

interface Call {
  readonly inputs: readonly Value[];
  readonly gradient: Value;
  readonly names: readonly string[];
  readonly differentiate: Differentiate;
}

/**
 * The gradient of `body`, after the functions that it calls.
 *
 * One function serves calls with any extents, so of its inputs only types and numbers of axes are taken from the call;
 * but integers describe the shapes of others, so how many there are is a part of the function.
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
  // Σ result · gradient has the gradients that the chain rule asks for.
  const product = b.mul(b.value(body.output[0] ?? ''), arriving);
  const axes = Array.from({ length: rankOf(gradient) }, (_, axis) => axis);
  const total = b.reduceSum(product, axes, false);
  const derived = differentiate(b.finish(), { loss: total.name, parameters: names });
  const results = new Set(names.map(gradientName));
  derived.graph.output = derived.graph.output.filter((output) => results.has(output.name));
  removeUnused(derived);
  return [...derived.functions, new GraphBuilder(name, derived).finishFunction(body.domain)];
}
