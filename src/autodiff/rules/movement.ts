/** Rules of operators that move elements without computing: each gradient is moved back. */
import { integerAttribute, integersAttribute } from '../../onnx/attributes.ts';
import type { Value } from '../../onnx/builder.ts';
import { dimensionAt, inputAt, type Rule, rankOf, rule, shapeVector, unbroadcast, zerosLike } from '../rule.ts';

const reshape: Rule = rule(({ b, gradient, x }) => [b.reshape(gradient, [shapeVector(b, x)])]);

const transpose: Rule = rule(({ b, node, gradient, x }) => {
  const rank = rankOf(x);
  const order = integersAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
  const inverse = Array.from({ length: rank }, (_, axis) => order.indexOf(axis));
  return [b.transpose(gradient, inverse)];
});

const expand: Rule = rule(({ b, gradient, x }) => [unbroadcast(b, gradient, x)]);

const concat: Rule = rule(({ b, node, gradient, inputs }) => {
  const axis = axisOf(integerAttribute(node, 'axis', 0), gradient);
  if (inputs.length === 1) return [gradient];
  const sizes = b.vector(inputs.map((input) => dimensionAt(b, input, axis)));
  return b.split(gradient, sizes, inputs.length, axis);
});

/** Parts on which the loss does not depend contribute zeros. */
const split: Rule = ({ b, node, inputs, outputs, gradients }) => {
  const [x] = inputs;
  if (!x) return [];
  const parts = outputs.map((output, index) => gradients[index] ?? zerosLike(b, output));
  return [b.concat(parts, axisOf(integerAttribute(node, 'axis', 0), x))];
};

/** The gradient is padded with zeros where the slice cut elements off. Steps other than 1 have no rule. */
const slice: Rule = rule((context) => {
  const { b, gradient, x, y, inputs } = context;
  const [, starts, , axes, steps] = inputs;
  const rank = rankOf(x);
  const first = starts && constantOf(starts);
  const positions = axes?.name ? constantOf(axes) : first?.map((_, index) => index);
  const stride = steps?.name ? constantOf(steps) : [];
  if (!positions || !first || !stride?.every((step) => step === 1))
    throw new Error('only slices with steps of 1, constant starts and constant axes have a gradient');
  const before = Array.from({ length: rank }, (_, axis): number | Value => {
    const start = first[positions.findIndex((position) => (position < 0 ? position + rank : position) === axis)] ?? 0;
    if (start === 0) return 0;
    const dimension = dimensionAt(b, x, axis);
    if (typeof dimension === 'number') return start < 0 ? Math.max(start + dimension, 0) : Math.min(start, dimension);
    return start < 0 ? b.max(b.add(dimension, b.integers(start)), b.integers(0)) : b.min(dimension, b.integers(start));
  });
  const after = b.sub(b.sub(shapeVector(b, x), shapeVector(b, y)), b.vector(before));
  return [b.pad(gradient, b.vector([...before, after]))];
});

/** For padding with a constant, the gradient is that of the part that is not padding. */
const pad: Rule = rule((context) => {
  const { b, node, gradient, x, inputs } = context;
  const mode = new TextDecoder().decode(node.attribute.find(({ name }) => name === 'mode')?.s ?? new Uint8Array());
  if ((mode !== '' && mode !== 'constant') || inputs[3]?.name)
    throw new Error('only padding of all axes with a constant has a gradient');
  const rank = rankOf(x);
  const all = Array.from({ length: rank }, (_, axis) => axis);
  const starts = b.slice(inputAt(context, 1), [0], [rank], [0]);
  return [b.slice(gradient, [starts], [b.add(starts, shapeVector(b, x))], all)];
});

function axisOf(axis: number, value: Value): number {
  return axis < 0 ? axis + rankOf(value) : axis;
}

function constantOf({ values }: Value): readonly number[] | undefined {
  return values?.every((element) => typeof element === 'number') ? values : undefined;
}

/** Rules by operator. */
export const movementRules: Record<string, Rule> = {
  Reshape: reshape,
  Unsqueeze: reshape,
  Squeeze: reshape,
  Flatten: reshape,
  Transpose: transpose,
  Expand: expand,
  Concat: concat,
  Split: split,
  Slice: slice,
  Pad: pad,
};
