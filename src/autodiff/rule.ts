/** What a rule of differentiation is, and what rules share. */
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import type { Dimension, NodeProto, Shape } from '../onnx/types.ts';

export interface RuleContext {
  /** Builds the graph of gradients, in the scope of the node's module. */
  readonly b: GraphBuilder;
  readonly node: NodeProto;
  /** One entry per input; one that is not given has the name ''. */
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  /** Derivatives of the loss by each output, of the output's shape; undefined where it does not depend on it. */
  readonly gradients: readonly (Value | undefined)[];
  /** For each input, whether its gradient is needed: a rule may leave out the others. */
  readonly wanted: readonly boolean[];
}

/** The derivatives of the loss by each input of a node, of the input's shape; undefined where there is none. */
export type Rule = (context: RuleContext) => readonly (Value | undefined)[];

/** A rule for a node with one output, or of which only the first carries a gradient. */
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

/** The input at `index`, which the operator's specification says is there. */
export function inputAt({ inputs, node }: RuleContext, index: number): Value {
  const found = inputs[index];
  if (!found?.name) throw new Error(`${node.name} has no input ${index}`);
  return found;
}

/** The number of axes of `value`. @throws Error if it is not known: every rule needs it. */
export function rankOf(value: Value): number {
  if (!value.shape) throw new Error(`the number of axes of ${value.name} is not known`);
  return value.shape.length;
}

/** The shape of `value` as a vector: a constant where it is known. */
export function shapeVector(b: GraphBuilder, value: Value): Value {
  const extents = value.shape;
  return extents?.every((extent) => typeof extent === 'number') ? b.integers(...extents) : b.shapeOf(value);
}

/** The extent of an axis: a number where it is known, otherwise a vector of one. */
export function extentAt(b: GraphBuilder, value: Value, axis: number): number | Value {
  const extent = value.shape?.[axis];
  return typeof extent === 'number' ? extent : b.extent(value, axis);
}

export function zerosLike(b: GraphBuilder, value: Value): Value {
  return b.expand(b.scalar(0), [shapeVector(b, value)]);
}

/** The gradient of what was broadcast from the shape of `to`: summed over the axes along which it was repeated. */
export function unbroadcast(b: GraphBuilder, gradient: Value, to: Value): Value {
  const rank = rankOf(gradient);
  const extents: Shape = [...new Array<Dimension>(rank - rankOf(to)).fill(1), ...(to.shape ?? [])];
  const repeats = extents.map((extent, axis) => isRepeated(extent, gradient.shape?.[axis]));
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

/** Whether an axis of extent `from` was repeated to give one of extent `to`; undefined if that is not known. */
function isRepeated(from: Dimension, to: Dimension): boolean | undefined {
  if (from === to && from !== undefined) return false;
  if (from === 1) return true;
  return typeof from === 'number' ? false : undefined;
}

/** `x` with its last two axes exchanged. */
export function transposeMatrix(b: GraphBuilder, x: Value): Value {
  const rank = rankOf(x);
  const axes = Array.from({ length: rank }, (_, axis) => axis);
  return b.transpose(x, [...axes.slice(0, -2), rank - 1, rank - 2]);
}
