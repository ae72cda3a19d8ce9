/** Rules of operators that work element by element, with broadcasting. */
import type { GraphBuilder, Operand, Value } from '../../onnx/builder.ts';
import { DataType } from '../../onnx/types.ts';
import { geluGradient } from '../functions/gelu-gradient.ts';
import { inputAt, type Rule, rule, unbroadcast } from '../rule.ts';

/** A rule for f(a, b). `partial` returns the gradients of the broadcast operands, which are then summed. */
function binary(
  partial: (b: GraphBuilder, gradient: Value, a: Value, c: Value, y: Value) => readonly [() => Value, () => Value],
): Rule {
  return rule((context) => {
    const { b, gradient, x, y, wanted } = context;
    const other = inputAt(context, 1);
    const [first, second] = partial(b, gradient, x, other, y);
    return [
      wanted[0] ? unbroadcast(b, first(), x) : undefined,
      wanted[1] ? unbroadcast(b, second(), other) : undefined,
    ];
  });
}

/** A rule for f(x) whose gradient is that of the result times `factor`. */
function unary(factor: (b: GraphBuilder, x: Value, y: Value) => Operand): Rule {
  return rule(({ b, gradient, x, y }) => [b.mul(gradient, factor(b, x, y))]);
}

const negative = (b: GraphBuilder, value: Value) => b.neg(value);

const pass = rule(({ gradient }) => [gradient]);

/** The gradient goes to the operand that is the maximum or minimum, to the first one if several are equal. */
function extremum(beats: 'greater' | 'less'): Rule {
  return rule((context) => {
    const { b, gradient, inputs } = context;
    return inputs.map((input, index) => {
      // An operand is chosen if it beats those before it and is not beaten by those after it.
      const tests = inputs.flatMap((other, position) => {
        if (position === index) return [];
        return [position < index ? b[beats](input, other) : b.not(b[beats](other, input))];
      });
      if (tests.length === 0) return gradient;
      const chosen = tests.reduce((all, next) => b.and(all, next));
      return unbroadcast(b, b.where(chosen, gradient, 0), input);
    });
  });
}

const addends: Rule = rule(({ b, gradient, inputs }) => inputs.map((input) => unbroadcast(b, gradient, input)));

const mean: Rule = rule(({ b, gradient, inputs }) =>
  inputs.map((input) => unbroadcast(b, b.div(gradient, inputs.length), input)),
);

const where: Rule = rule((context) => {
  const { b, gradient, x: condition, wanted } = context;
  const branch = (index: number, value: Value) =>
    wanted[index] ? unbroadcast(b, value, inputAt(context, index)) : undefined;
  return [undefined, branch(1, b.where(condition, gradient, 0)), branch(2, b.where(condition, 0, gradient))];
});

/** The gradient passes where the value is within the limits or equal to one of them, as in PyTorch. */
const clip: Rule = rule(({ b, gradient, x, inputs: [, low, high] }) => {
  const tests = [...(low?.name ? [b.greaterOrEqual(x, low)] : []), ...(high?.name ? [b.lessOrEqual(x, high)] : [])];
  if (tests.length === 0) return [gradient];
  return [
    b.where(
      tests.reduce((all, next) => b.and(all, next)),
      gradient,
      0,
    ),
  ];
});

const power = binary((b, gradient, x, exponent, y) => [
  () => b.mul(gradient, b.mul(exponent, b.pow(x, b.sub(exponent, 1)))),
  () => b.mul(gradient, b.mul(y, b.log(x))),
]);

/** The gradient of a conversion between float types is converted back; integers have no gradient. */
const cast: Rule = rule(({ b, gradient, x }) => [
  x.type === DataType.FLOAT || x.type === DataType.DOUBLE ? b.cast(gradient, x.type) : undefined,
]);

const flat = () => [];

/** Rules by operator. */
export const arithmeticRules: Record<string, Rule> = {
  Add: addends,
  Sum: addends,
  Mean: mean,
  Sub: binary((b, gradient) => [() => gradient, () => negative(b, gradient)]),
  Mul: binary((b, gradient, x, other) => [() => b.mul(gradient, other), () => b.mul(gradient, x)]),
  Div: binary((b, gradient, _, other, y) => [
    () => b.div(gradient, other),
    () => negative(b, b.div(b.mul(gradient, y), other)),
  ]),
  Pow: power,
  Max: extremum('greater'),
  Min: extremum('less'),
  Where: where,
  Clip: clip,
  Cast: cast,
  Identity: pass,
  Neg: rule(({ b, gradient }) => [negative(b, gradient)]),
  Abs: unary((b, x) => b.sign(x)),
  Sqrt: rule(({ b, gradient, y }) => [b.div(gradient, b.mul(y, 2))]),
  Exp: unary((_, __, y) => y),
  Log: rule(({ b, gradient, x }) => [b.div(gradient, x)]),
  Sin: unary((b, x) => b.cos(x)),
  Cos: unary((b, x) => negative(b, b.sin(x))),
  Erf: unary((b, x) => b.mul(b.exp(negative(b, b.mul(x, x))), 2 / Math.sqrt(Math.PI))),
  Relu: rule(({ b, gradient, y }) => [b.where(b.greater(y, 0), gradient, 0)]),
  Gelu: rule(({ b, gradient, x }) => [geluGradient(b, x, gradient)]),
  Sigmoid: unary((b, _, y) => b.mul(y, b.sub(1, y))),
  Softplus: unary((b, x) => b.sigmoid(x)),
  // These are constant between their steps, so that their gradient is 0.
  Floor: flat,
  Ceil: flat,
  Round: flat,
  Sign: flat,
};
