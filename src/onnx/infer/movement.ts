/** Shape inference for operators that move elements or describe shapes without computing on values. */
import { integerAttribute, integersAttribute } from '../attributes.ts';
import { DataType, type Dimension, type Shape, type TensorInfo } from '../types.ts';
import { broadcastShapes, MAX_SHAPE_LENGTH, multiply, normalizeAxis, type Rule, unknownShape } from './rule.ts';

/** Integers that newer operator sets take as an input and older ones as an attribute; undefined if they are not known. */
function integersOf(context: Parameters<Rule>[0], input: number, attribute: string): readonly Dimension[] | undefined {
  return context.node.input[input] ? context.inputs[input]?.values : integersAttribute(context.node, attribute);
}

function allNumbers(values: readonly Dimension[] | undefined): values is readonly number[] {
  return values?.every((value) => typeof value === 'number') ?? false;
}

const shape: Rule = ({ node, inputs: [x] }) => {
  const rank = x?.shape?.length;
  if (rank === undefined || !x?.shape) return [{ type: DataType.INT64, shape: [undefined] }];
  const clampAxis = (axis: number) => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
  const values = x.shape.slice(
    clampAxis(integerAttribute(node, 'start', 0)),
    clampAxis(integerAttribute(node, 'end', rank)),
  );
  return [{ type: DataType.INT64, shape: [values.length], values }];
};

const size: Rule = ({ inputs: [x] }) => [
  { type: DataType.INT64, shape: [], ...(x?.shape ? { values: [multiply(x.shape)] } : {}) },
];

const reshape: Rule = ({ node, inputs: [x, target] }) => {
  if (!x) return [undefined];
  const length = target?.shape?.[0];
  const wanted = target?.values ?? (typeof length === 'number' ? unknownShape(length) : undefined);
  if (!wanted) return [{ type: x.type, shape: undefined }];
  const allowZero = integerAttribute(node, 'allowzero', 0) === 1;
  const isCopied = (index: number) => wanted[index] === 0 && !allowZero;
  const result = wanted.map((dimension, index) => (isCopied(index) ? x.shape?.[index] : dimension));
  const inferred = result.indexOf(-1);
  // Copied dimensions are the same on both sides, also where they are not known.
  const left = x.shape?.filter((_, index) => !isCopied(index));
  const others = result.filter((_, index) => index !== inferred && !isCopied(index));
  if (inferred >= 0) result[inferred] = remaining(left, others);
  const keepsValues = x.values && x.values.length <= MAX_SHAPE_LENGTH && result.length <= 1;
  return [{ type: x.type, shape: result, ...(keepsValues ? { values: x.values } : {}) }];
};

/** The dimension that −1 stands for: all elements divided by the other dimensions. Symbols on both sides cancel out. */
function remaining(all: Shape | undefined, others: Shape): Dimension {
  if (!all) return undefined;
  const left = [...all];
  const right: Dimension[] = [];
  for (const dimension of others) {
    const twin = typeof dimension === 'string' ? left.indexOf(dimension) : -1;
    if (twin >= 0) left.splice(twin, 1);
    else right.push(dimension);
  }
  const [numerator, denominator] = [multiply(left), multiply(right)];
  if (denominator === 1) return numerator;
  if (typeof numerator !== 'number' || typeof denominator !== 'number' || denominator === 0) return undefined;
  return numerator % denominator === 0 ? numerator / denominator : undefined;
}

const transpose: Rule = ({ node, inputs: [x] }) => {
  if (!x?.shape) return [x && { type: x.type, shape: undefined }];
  const { shape: dimensions } = x;
  const order = integersAttribute(node, 'perm') ?? dimensions.map((_, index) => dimensions.length - 1 - index);
  return [{ type: x.type, shape: order.map((axis) => dimensions[axis]) }];
};

const concat: Rule = ({ node, inputs }) => {
  const first = inputs[0];
  if (!first) return [undefined];
  const rank = inputs.find((input) => input?.shape)?.shape?.length;
  if (rank === undefined) return [{ type: first.type, shape: undefined }];
  const axis = normalizeAxis(integerAttribute(node, 'axis', 0), rank);
  const dimensions = Array.from({ length: rank }, (_, index): Dimension => {
    const along = inputs.map((input) => input?.shape?.[index]);
    if (index === axis) return along.every((dimension) => typeof dimension === 'number') ? sum(along) : undefined;
    return (
      along.find((dimension) => typeof dimension === 'number') ?? along.find((dimension) => dimension !== undefined)
    );
  });
  const length = rank === 1 ? dimensions[0] : undefined;
  const isShort = typeof length === 'number' && length <= MAX_SHAPE_LENGTH;
  // A part whose values are unknown but whose length is known keeps the values of the other parts in their places.
  const values =
    isShort && inputs.some((input) => input?.values)
      ? inputs.flatMap((input) => input?.values ?? unknownShape(Number(input?.shape?.[0])))
      : undefined;
  return [{ type: first.type, shape: dimensions, ...(values ? { values } : {}) }];
};

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const split: Rule = (context) => {
  const { node } = context;
  const [x] = context.inputs;
  if (!x) return node.output.map(() => undefined);
  if (!x.shape) return node.output.map(() => ({ type: x.type, shape: undefined }));
  const axis = normalizeAxis(integerAttribute(node, 'axis', 0), x.shape.length);
  const sizes = integersOf(context, 1, 'split');
  const dimension = axis === undefined ? undefined : x.shape[axis];
  const even = node.input[1] || integersAttribute(node, 'split') ? undefined : dimension;
  return node.output.map((_, part) => ({
    type: x.type,
    shape: (x.shape ?? []).map((old, index) => {
      if (index !== axis) return old;
      if (typeof even !== 'number') return sizes?.[part];
      const chunk = Math.ceil(even / node.output.length);
      return Math.max(0, Math.min(chunk, even - part * chunk));
    }),
  }));
};

const slice: Rule = (context) => {
  const [x] = context.inputs;
  if (!x?.shape) return [x && { type: x.type, shape: undefined }];
  const starts = integersOf(context, 1, 'starts');
  const ends = integersOf(context, 2, 'ends');
  if (!allNumbers(starts) || !ends) return [{ type: x.type, shape: unknownShape(x.shape.length) }];
  const hasAxes = context.node.input[3] || integersAttribute(context.node, 'axes');
  const axes = hasAxes ? integersOf(context, 3, 'axes') : starts.map((_, index) => index);
  const steps = context.node.input[4] ? context.inputs[4]?.values : starts.map(() => 1);
  if (!allNumbers(axes) || !allNumbers(steps)) return [{ type: x.type, shape: unknownShape(x.shape.length) }];
  const result = [...x.shape];
  let values = x.shape.length === 1 ? x.values : undefined;
  for (const [index, start] of starts.entries()) {
    const axis = normalizeAxis(axes[index] ?? 0, x.shape.length);
    if (axis === undefined) return [{ type: x.type, shape: undefined }];
    const range = sliceRange(start, ends[index], steps[index] ?? 1, x.shape[axis]);
    result[axis] = range?.length;
    values = range?.indices && values ? range.indices.map((position) => values?.[position]) : undefined;
  }
  return [{ type: x.type, shape: result, ...(values ? { values } : {}) }];
};

function sliceRange(start: number, end: Dimension, step: number, dimension: Dimension) {
  if (start === 0 && step === 1 && typeof end === 'number' && end >= 2 ** 31 - 1) return { length: dimension };
  if (typeof dimension !== 'number' || typeof end !== 'number' || step === 0) return undefined;
  const bound = (position: number, low: number, high: number) =>
    Math.min(Math.max(position < 0 ? position + dimension : position, low), high);
  const from = step > 0 ? bound(start, 0, dimension) : bound(start, 0, dimension - 1);
  const to = step > 0 ? bound(end, 0, dimension) : bound(end, -1, dimension - 1);
  const length = Math.max(0, Math.ceil((to - from) / step));
  const indices = length <= MAX_SHAPE_LENGTH ? Array.from({ length }, (_, index) => from + index * step) : undefined;
  return { length, indices };
}

const gather: Rule = ({ node, inputs: [x, indices] }) => {
  if (!x?.shape || !indices?.shape) return [x && { type: x.type, shape: undefined }];
  const axis = normalizeAxis(integerAttribute(node, 'axis', 0), x.shape.length);
  if (axis === undefined) return [{ type: x.type, shape: undefined }];
  const dimensions = [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)];
  const positions = x.shape.length === 1 && allNumbers(indices.values) ? indices.values : undefined;
  const { values } = x;
  if (!values || !positions) return [{ type: x.type, shape: dimensions }];
  return [{ type: x.type, shape: dimensions, values: positions.map((position) => values.at(position)) }];
};

const gatherElements: Rule = ({ inputs: [x, indices] }) => [x && { type: x.type, shape: indices?.shape }];

const gatherNd: Rule = ({ node, inputs: [x, indices] }) => {
  const depth = indices?.shape?.at(-1);
  if (!x?.shape || !indices?.shape || typeof depth !== 'number') return [x && { type: x.type, shape: undefined }];
  const batch = integerAttribute(node, 'batch_dims', 0);
  return [{ type: x.type, shape: [...indices.shape.slice(0, -1), ...x.shape.slice(batch + depth)] }];
};

const unsqueeze: Rule = (context) => {
  const [x] = context.inputs;
  const axes = integersOf(context, 1, 'axes');
  if (!x?.shape || !allNumbers(axes)) return [x && { type: x.type, shape: undefined }];
  const rank = x.shape.length + axes.length;
  const added = new Set(axes.map((axis) => normalizeAxis(axis, rank)));
  const rest = [...x.shape];
  const dimensions = Array.from({ length: rank }, (_, index) => (added.has(index) ? 1 : rest.shift()));
  return [{ type: x.type, shape: dimensions, ...(x.values ? { values: x.values } : {}) }];
};

const squeeze: Rule = (context) => {
  const [x] = context.inputs;
  const named = context.node.input[1] !== undefined || integersAttribute(context.node, 'axes') !== undefined;
  const axes = integersOf(context, 1, 'axes');
  if (!x?.shape || (named && !allNumbers(axes))) return [x && { type: x.type, shape: undefined }];
  const { shape: dimensions } = x;
  if (!named && !allNumbers(dimensions)) return [{ type: x.type, shape: undefined }];
  const removed = new Set(allNumbers(axes) ? axes.map((axis) => normalizeAxis(axis, dimensions.length)) : []);
  const kept = dimensions.filter((dimension, index) => (named ? !removed.has(index) : dimension !== 1));
  return [{ type: x.type, shape: kept, ...(x.values ? { values: x.values } : {}) }];
};

const expand: Rule = ({ inputs: [x, target] }) => {
  if (!x) return [undefined];
  const rank = target?.shape?.[0];
  const wanted = target?.values ?? (typeof rank === 'number' ? unknownShape(rank) : undefined);
  return [{ type: x.type, shape: broadcastShapes([x.shape, wanted]) }];
};

const tile: Rule = ({ inputs: [x, repeats] }) => [
  x && { type: x.type, shape: x.shape?.map((dimension, index) => multiply([dimension, repeats?.values?.[index]])) },
];

const pad: Rule = (context) => {
  const [x] = context.inputs;
  if (!x?.shape) return [x && { type: x.type, shape: undefined }];
  const amounts = integersOf(context, 1, 'pads');
  const rank = x.shape.length;
  const axes = context.node.input[3] ? context.inputs[3]?.values : x.shape.map((_, index) => index);
  if (!amounts || !allNumbers(axes)) return [{ type: x.type, shape: unknownShape(rank) }];
  const result = [...x.shape];
  for (const [index, axis] of axes.entries()) {
    const [before, after] = [amounts[index], amounts[index + axes.length]];
    const position = normalizeAxis(axis, rank);
    if (position === undefined) return [{ type: x.type, shape: undefined }];
    const dimension = result[position];
    const numbers = typeof before === 'number' && typeof after === 'number';
    if (numbers && before === 0 && after === 0) continue;
    result[position] = numbers && typeof dimension === 'number' ? dimension + before + after : undefined;
  }
  return [{ type: x.type, shape: result }];
};

const constantOfShape: Rule = ({ node, inputs: [target] }) => {
  const value = node.attribute.find((attribute) => attribute.name === 'value')?.t;
  const type = (value?.dataType ?? DataType.FLOAT) as DataType; // DataType numbers are those of the file
  const rank = target?.shape?.[0];
  return [{ type, shape: target?.values ?? (typeof rank === 'number' ? unknownShape(rank) : undefined) }];
};

const flatten: Rule = ({ node, inputs: [x] }) => {
  if (!x?.shape) return [x && { type: x.type, shape: [undefined, undefined] }];
  const axis = integerAttribute(node, 'axis', 1);
  const cut = axis < 0 ? axis + x.shape.length : axis;
  return [{ type: x.type, shape: [multiply(x.shape.slice(0, cut)), multiply(x.shape.slice(cut))] }];
};

/** The result has the shape `sizes`, if that is known; with `scales` only the rank is inferred. */
const resize: Rule = ({ node, inputs: [x, , , sizes] }) => {
  const rank = x?.shape?.length;
  const keepsAxes = !node.attribute.some((attribute) => attribute.name === 'axes');
  const known = keepsAxes && sizes?.values?.length === rank ? sizes?.values : undefined;
  return [x && { type: x.type, shape: known ?? (rank === undefined ? undefined : unknownShape(rank)) }];
};

const sameShape: Rule = ({ inputs: [x] }) => [x && ({ type: x.type, shape: x.shape } satisfies TensorInfo)];

/** Rules by operator. */
export const movementRules: Record<string, Rule> = {
  Shape: shape,
  Size: size,
  Reshape: reshape,
  Transpose: transpose,
  Concat: concat,
  Split: split,
  Slice: slice,
  Gather: gather,
  GatherElements: gatherElements,
  GatherND: gatherNd,
  ScatterElements: sameShape,
  ScatterND: sameShape,
  Unsqueeze: unsqueeze,
  Squeeze: squeeze,
  Expand: expand,
  Tile: tile,
  Pad: pad,
  ConstantOfShape: constantOfShape,
  Flatten: flatten,
  Resize: resize,
};
