/** The form of a differentiation rule, and the functions that rules share. */
import { checkFields } from '../base/check-options.ts';
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import type { Dimension, NodeProto, Shape } from '../onnx/types.ts';

/** The input of a rule: one node, with its values and the gradients that arrive at it. */
export interface RuleContext {
  /** The builder of the graph of gradients, in the scope of the node's module. */
  readonly b: GraphBuilder;
  /** The node that is differentiated. */
  readonly node: NodeProto;
  /** The inputs of the node; an optional input that is not given has the name ''. */
  readonly inputs: readonly Value[];
  /** The results of the node. */
  readonly outputs: readonly Value[];
  /** The derivatives of the loss by each result, of the result's shape; undefined if the loss does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** For each input, whether its gradient is needed. A rule may leave out the other gradients. */
  readonly wanted: readonly boolean[];
}

/**
 * Adds the nodes that compute the derivatives of the loss by each input of a node, and returns them. Each has the shape of
 * the input; undefined if there is none.
 */
export type Rule = (context: RuleContext) => readonly (Value | undefined)[];

/**
 * Makes a rule for an operator with one result, or with one differentiable result, which is the first.
 * @param derive is called with the gradient of the result, the first input `x` and the result `y`; it returns the gradient of
 * each input
 * @example
 * const sine = rule(({ b, gradient, x }) => [b.mul(gradient, b.cos(x))]);
 */
export function rule(
  derive: (context: RuleContext & { gradient: Value; x: Value; y: Value }) => readonly (Value | undefined)[],
): Rule {
  return (context) => {
    const [gradient] = context.gradients;
    const [x] = context.inputs;
    const [y] = context.outputs;
    return gradient && x && y ? derive({ ...context, gradient, x, y }) : [];
  };
}

/**
 * Returns the input at `index`, which the operator requires.
 * @throws Error if it is missing
 * @example
 * const gather: Rule = (context) => [undefined, zerosLike(context.b, inputAt(context, 1))];
 */
export function inputAt(context: RuleContext, index: number): Value {
  checkFields('The context must be that of a rule', context, 'inputs', 'node');
  const { inputs, node } = context;
  const found = inputs[index];
  if (!found?.name) throw new Error(`${node.name} has no input ${index}`);
  return found;
}

/** The rank of a value. @throws Error if it is not known */
export function rankOf(value: Value): number {
  if (!value.shape) throw new Error(`the number of axes of ${value.name} is not known`);
  return value.shape.length;
}

/** The shape of a value as a vector, which is a constant if the shape is known. */
export function shapeVector(b: GraphBuilder, value: Value): Value {
  const dimensions = value.shape;
  return dimensions?.every((dimension) => typeof dimension === 'number') ? b.integers(...dimensions) : b.shapeOf(value);
}

/** The size of one axis: a number if it is known, and otherwise a vector with one element. */
export function dimensionAt(b: GraphBuilder, value: Value, axis: number): number | Value {
  const dimension = value.shape?.[axis];
  return typeof dimension === 'number' ? dimension : b.dimension(value, axis);
}

/**
 * Returns zeros with the shape of `value`.
 * @example
 * const none: Rule = ({ b, inputs }) => inputs.map((input) => zerosLike(b, input));
 */
export function zerosLike(b: GraphBuilder, value: Value): Value {
  checkFields('The operand must be a value of a graph', value, 'name', 'shape');
  return b.expand(b.scalar(0), [shapeVector(b, value)]);
}

/**
 * Returns the gradient of a value from the gradient of its broadcast form: the sum over the axes along which the value was
 * repeated.
 * @param gradient the gradient of the broadcast form
 * @param to the value before it was broadcast, whose shape the result has
 * @throws Error if a rank is not known
 * @example
 * const add: Rule = ({ b, inputs, gradients: [gradient] }) =>
 *   inputs.map((input) => gradient && unbroadcast(b, gradient, input));
 */
export function unbroadcast(b: GraphBuilder, gradient: Value, to: Value): Value {
  checkFields('The gradient must be a value of a graph', gradient, 'name', 'shape');
  const rank = rankOf(gradient);
  const dimensions: Shape = [...new Array<Dimension>(rank - rankOf(to)).fill(1), ...(to.shape ?? [])];
  const repeats = dimensions.map((dimension, axis) => isRepeated(dimension, gradient.shape?.[axis]));
  if (repeats.every((known) => known !== undefined)) {
    const axes = repeats.flatMap((repeated, axis) => (repeated ? [axis] : []));
    const sum = axes.length > 0 ? b.reduceSum(gradient, axes) : gradient;
    return rank === rankOf(to) ? sum : b.reshape(sum, [shapeVector(b, to)]);
  }
  const missing = Array.from({ length: rank - rankOf(to) }, () => 1);
  const single = b.equal(b.vector([...missing, b.shapeOf(to)]), b.integers(1));
  const axes = b.reshape(b.nonZero(single), [-1]);
  return b.reshape(b.reduceSumOver(gradient, axes), [b.shapeOf(to)]);
}

/** Whether broadcasting repeated an axis of size `from` to size `to`; undefined if that is not known. */
function isRepeated(from: Dimension, to: Dimension): boolean | undefined {
  if (from === to && from !== undefined) return false;
  if (from === 1) return true;
  return typeof from === 'number' ? false : undefined;
}

/**
 * Exchanges the last two axes of `x`: [..., rows, columns] becomes [..., columns, rows].
 * @throws Error if the rank of `x` is not known
 * @example
 * const product = rule(({ b, gradient, x, inputs: [, y] }) =>
 *   y ? [b.matmul(gradient, transposeMatrix(b, y)), b.matmul(transposeMatrix(b, x), gradient)] : [],
 * );
 */
export function transposeMatrix(b: GraphBuilder, x: Value): Value {
  checkFields('The operand must be a value of a graph', x, 'name', 'shape');
  const rank = rankOf(x);
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return b.transpose(x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}
