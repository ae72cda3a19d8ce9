/** Rules of sums, means, maxima, minima and cumulative sums along axes. */
import { findAttribute, integerAttribute, integersAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import { type Rule, type RuleContext, rule, shapeVector } from '../rule.ts';

/** The result of a reduction with the reduced axes restored as axes of size 1, so that it broadcasts to the input. */
function keepAxes({ b, node, inputs }: RuleContext, value: Value): Value {
  if (integerAttribute(node, 'keepdims', 1) === 1) return value;
  const given = integersAttribute(node, 'axes');
  const axes = inputs[1]?.name ? inputs[1] : given && b.integers(...given);
  if (axes) return b.unsqueezeAt(value, axes);
  return b.reshape(
    value,
    (inputs[0]?.shape ?? []).map(() => 1),
  );
}

const sum: Rule = rule((context) => {
  const { b, gradient, x } = context;
  return [b.expand(keepAxes(context, gradient), [shapeVector(b, x)])];
});

const mean: Rule = rule((context) => {
  const { b, gradient, x, y } = context;
  const ratio = b.div(elementCount(b, y), elementCount(b, x));
  return [b.mul(b.expand(keepAxes(context, gradient), [shapeVector(b, x)]), ratio)];
});

const elementCount = (b: GraphBuilder, value: Value) => {
  const { shape } = value;
  if (shape?.every((dimension) => typeof dimension === 'number'))
    return b.scalar(shape.reduce((all, dimension) => all * dimension, 1));
  return b.cast(b.reduceProd(b.shapeOf(value), [0], false), DataType.FLOAT);
};

/** Elements that are equal to the extremum share its gradient equally, as in PyTorch's amax. */
const extremum: Rule = rule((context) => {
  const { b, gradient, x, y } = context;
  const chosen = b.cast(b.equal(x, keepAxes(context, y)), DataType.FLOAT);
  const axes = context.inputs[1];
  const given = integersAttribute(context.node, 'axes');
  const all = (x.shape ?? []).map((_, axis) => axis);
  const winners = b.reduceSumOver(chosen, axes?.name ? axes : b.integers(...(given ?? all)));
  return [b.mul(chosen, b.div(keepAxes(context, gradient), winners))];
});

/** The gradient of a cumulative sum is the cumulative sum of the gradient in the opposite direction. */
const runningSum: Rule = rule(({ b, node, gradient, inputs: [, axis] }) => {
  const isReversed = findAttribute(node, 'reverse')?.i === 1n;
  const exclusive = integerAttribute(node, 'exclusive', 0);
  return axis ? [b.cumsumAt(gradient, axis, { reverse: isReversed ? 0 : 1, exclusive })] : [];
});

/** Rules by operator. */
export const reductionRules: Record<string, Rule> = {
  ReduceSum: sum,
  ReduceMean: mean,
  ReduceMax: extremum,
  ReduceMin: extremum,
  CumSum: runningSum,
};
