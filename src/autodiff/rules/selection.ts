/** Rules of operators that read some elements of a value: each gradient is added to the element that was read. */
import { integerAttribute } from '../../onnx/attributes.ts';
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import { gridSampleGradient } from '../grid-sample-gradient.ts';
import { inputAt, type Rule, type RuleContext, rankOf, rule, zerosLike } from '../rule.ts';

/** Zeros of the shape of `x`, to which `updates` are added along `axis` at the indices of a vector. */
function addAlong(b: GraphBuilder, x: Value, axis: number, indices: Value, updates: Value): Value {
  const ones = Array.from({ length: rankOf(x) }, (_, position) => (position === axis ? -1 : 1));
  const everywhere = b.expand(b.reshape(indices, ones), [b.shapeOf(updates)]);
  return b.scatterAdd(zerosLike(b, x), everywhere, updates, axis);
}

const gather: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  const indices = inputAt(context, 1);
  const rank = rankOf(x);
  const axis = normalized(integerAttribute(node, 'axis', 0), rank);
  // The axes of the indices have replaced the gathered axis; they are joined to one axis again.
  const updates = b.reshape(gradient, [
    ...(axis > 0 ? [b.shapeOf(x, 0, axis)] : []),
    -1,
    ...(axis + 1 < rank ? [b.shapeOf(x, axis + 1, rank)] : []),
  ]);
  return [addAlong(b, x, axis, indices, updates)];
});

const gatherElements: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  return [b.scatterAdd(zerosLike(b, x), inputAt(context, 1), gradient, integerAttribute(node, 'axis', 0))];
});

/** GatherND of whole rows by one index each: [batch…, rows, …] at [batch…, m, 1]. */
const gatherRows: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  const indices = inputAt(context, 1);
  const batch = integerAttribute(node, 'batch_dims', 0);
  if (indices.shape?.at(-1) !== 1 || rankOf(indices) !== batch + 2)
    throw new Error('only GatherND of whole rows by one index each has a gradient');
  const inner = rankOf(x) - batch - 1;
  const placed = b.reshape(indices, [b.shapeOf(indices, 0, batch + 1), ...Array.from({ length: inner }, () => 1)]);
  return [b.scatterAdd(zerosLike(b, x), b.expand(placed, [b.shapeOf(gradient)]), gradient, batch)];
});

const topK: Rule = rule(
  ({ b, node, gradient, x, outputs: [, indices] }: RuleContext & { gradient: Value; x: Value }) =>
    indices ? [b.scatterAdd(zerosLike(b, x), indices, gradient, integerAttribute(node, 'axis', -1))] : [],
);

const scatterElements: Rule = rule((context) => {
  const { b, node, gradient } = context;
  const reduction = new TextDecoder().decode(node.attribute.find(({ name }) => name === 'reduction')?.s);
  if (reduction !== 'add') throw new Error('only ScatterElements that adds has a gradient');
  return [gradient, undefined, b.gatherElements(gradient, inputAt(context, 1), integerAttribute(node, 'axis', 0))];
});

const gridSample: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  const { image, grid } = gridSampleGradient(b, node, x, inputAt(context, 1), gradient);
  return [image, grid];
});

function normalized(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** Rules by operator. */
export const selectionRules: Record<string, Rule> = {
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherRows,
  TopK: topK,
  ScatterElements: scatterElements,
  GridSample: gridSample,
};
