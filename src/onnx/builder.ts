/** Building a graph: one typed method per operator (https://onnx.ai/onnx/operators/). */
import { float } from './attributes.ts';
import { ABSENT, defined, NodeBuilder, type Operand, type Value } from './node-builder.ts';
import type { DataType } from './types.ts';

export { ABSENT, defined, type Operand, type Value } from './node-builder.ts';

export class GraphBuilder extends NodeBuilder {
  // ---- element-wise operators, with broadcasting

  add = (a: Operand, b: Operand): Value => this.one('Add', [a, b]);
  sub = (a: Operand, b: Operand): Value => this.one('Sub', [a, b]);
  mul = (a: Operand, b: Operand): Value => this.one('Mul', [a, b]);
  div = (a: Operand, b: Operand): Value => this.one('Div', [a, b]);
  mod = (a: Operand, b: Operand): Value => this.one('Mod', [a, b]);
  max = (a: Operand, b: Operand): Value => this.one('Max', [a, b]);
  and = (a: Operand, b: Operand): Value => this.one('And', [a, b]);
  or = (a: Operand, b: Operand): Value => this.one('Or', [a, b]);
  equal = (a: Operand, b: Operand): Value => this.one('Equal', [a, b]);
  less = (a: Operand, b: Operand): Value => this.one('Less', [a, b]);
  lessOrEqual = (a: Operand, b: Operand): Value => this.one('LessOrEqual', [a, b]);
  greater = (a: Operand, b: Operand): Value => this.one('Greater', [a, b]);
  greaterOrEqual = (a: Operand, b: Operand): Value => this.one('GreaterOrEqual', [a, b]);
  min = (a: Operand, b: Operand): Value => this.one('Min', [a, b]);
  not = (x: Operand): Value => this.one('Not', [x]);
  /** The sum of any number of values. */
  sum = (values: readonly Value[]): Value => this.one('Sum', values);
  identity = (x: Value): Value => this.one('Identity', [x]);
  neg = (x: Operand): Value => this.one('Neg', [x]);
  sign = (x: Operand): Value => this.one('Sign', [x]);
  exp = (x: Operand): Value => this.one('Exp', [x]);
  erf = (x: Operand): Value => this.one('Erf', [x]);
  softplus = (x: Operand): Value => this.one('Softplus', [x]);
  abs = (x: Operand): Value => this.one('Abs', [x]);
  sqrt = (x: Operand): Value => this.one('Sqrt', [x]);
  round = (x: Operand): Value => this.one('Round', [x]);
  pow = (x: Operand, y: Operand): Value => this.one('Pow', [x, y]);
  relu = (x: Operand): Value => this.one('Relu', [x]);
  gelu = (x: Operand): Value => this.one('Gelu', [x]);
  sigmoid = (x: Operand): Value => this.one('Sigmoid', [x]);
  log = (x: Operand): Value => this.one('Log', [x]);
  sin = (x: Operand): Value => this.one('Sin', [x]);
  cos = (x: Operand): Value => this.one('Cos', [x]);
  floor = (x: Operand): Value => this.one('Floor', [x]);
  where = (condition: Value, a: Operand, b: Operand): Value => this.one('Where', [condition, a, b]);
  clip = (x: Operand, low: Operand, high: Operand): Value => this.one('Clip', [x, low, high]);
  cast = (x: Operand, to: DataType): Value => this.one('Cast', [x], { to });

  // ---- contraction, normalisation, reduction, selection

  matmul = (a: Operand, b: Operand): Value => this.one('MatMul', [a, b]);
  conv = (x: Value, weights: Value, bias: Value, kernel: number, stride: number, padding: number): Value =>
    this.one('Conv', [x, weights, bias], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  /** A convolution without bias. `pads`: before each axis, then after each. */
  convolve = (x: Value, weights: Value, settings: { strides: number[]; dilations: number[]; pads: number[] }): Value =>
    this.one('Conv', [x, weights], settings);
  /** What a convolution with these weights spreads each of its results over. */
  convolveTransposed = (x: Value, weights: Value, settings: { strides: number[]; dilations: number[] }): Value =>
    this.one('ConvTranspose', [x, weights], settings);
  /** op(a) · op(b) of matrices, where `transposed` says which of them op transposes. */
  gemm = (a: Value, b: Value, transposed: { a?: boolean; b?: boolean } = {}): Value =>
    this.one('Gemm', [a, b], { transA: transposed.a ? 1 : 0, transB: transposed.b ? 1 : 0 });
  softmax = (x: Value, axis = -1): Value => this.one('Softmax', [x], { axis });
  layerNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.one('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: float(epsilon) });
  instanceNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.one('InstanceNormalization', [x, scale, bias], { epsilon: float(epsilon) });
  reduceMax = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMax', x, axes, keepdims);
  reduceMin = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMin', x, axes, keepdims);
  reduceSum = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceSum', x, axes, keepdims);
  reduceProd = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceProd', x, axes, keepdims);
  reduceMean = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMean', x, axes, keepdims);
  /** The sum over the axes that the vector `axes` lists, over none if it is empty. Axes are kept. */
  reduceSumOver = (x: Value, axes: Value): Value =>
    this.one('ReduceSum', [x, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  cumsum = (x: Value, axis: number): Value => this.cumsumAt(x, this.integer(axis), {});
  cumsumAt = (x: Value, axis: Value, settings: { reverse?: number; exclusive?: number }): Value =>
    this.one('CumSum', [x, axis], settings);
  /** The `k` largest along `axis`, in descending order; of equal ones the lower index first. */
  topk(x: Value, k: Value, axis: number): { values: Value; indices: Value } {
    const [values, indices] = this.addNode('TopK', [x, k], { axis }, 2, '');
    return { values: defined(values), indices: defined(indices) };
  }
  /** Linear interpolation with antialiasing that leaves out what is beyond the border, as PIL's; `sizes`: all extents. */
  resizeAntialiased = (x: Value, sizes: Value): Value =>
    this.one('Resize', [x, ABSENT, ABSENT, sizes], { mode: 'linear', antialias: 1, exclude_outside: 1 });
  gridSample = (x: Value, grid: Value): Value =>
    this.one('GridSample', [x, grid], { mode: 'linear', padding_mode: 'zeros', align_corners: 0 });

  // ---- movement

  /** The extents of `x` from axis `start` to before `end`, as a vector. */
  shapeOf = (x: Value, start = 0, end?: number): Value => this.one('Shape', [x], { start, end });
  /** The extent of one axis, as a vector of one. */
  extent = (x: Value, axis: number): Value => this.shapeOf(x, axis, axis + 1);
  /** `shape`: numbers (0 keeps an extent, −1 takes the rest), or vectors that are concatenated. */
  reshape = (x: Value, shape: readonly (number | Value)[]): Value => this.one('Reshape', [x, this.vector(shape)]);
  transpose = (x: Value, perm: number[]): Value => this.one('Transpose', [x], { perm });
  concat = (values: readonly Value[], axis: number): Value => this.one('Concat', values, { axis });
  /** As many parts as `sizes` says, along `axis`. */
  split(x: Value, sizes: Value, parts: number, axis: number): Value[] {
    return this.addNode('Split', [x, sizes], { axis }, parts, '');
  }
  /** `parts` parts along `axis`, equal but for the last, which takes what is left over. */
  chunk(x: Value, parts: number, axis: number): Value[] {
    const total = this.extent(x, axis);
    const each = this.div(total, this.integers(parts));
    const last = this.sub(total, this.mul(each, this.integers(parts - 1)));
    const sizes = this.vector([...Array.from({ length: parts - 1 }, () => each), last]);
    return this.split(x, sizes, parts, axis);
  }
  slice = (
    x: Value,
    starts: (number | Value)[],
    ends: (number | Value)[],
    axes: number[],
    steps = axes.map(() => 1),
  ): Value =>
    this.one('Slice', [x, this.vector(starts), this.vector(ends), this.integers(...axes), this.integers(...steps)]);
  gather = (x: Value, indices: Value, axis: number): Value => this.one('Gather', [x, indices], { axis });
  /** Adds `updates` to `x` at `indices` along `axis`, every index as often as it occurs. */
  scatterAdd = (x: Value, indices: Value, updates: Value, axis: number): Value =>
    this.one('ScatterElements', [x, indices, updates], { axis, reduction: 'add' });
  /** The places of what is not 0 or false, [rank, count]. */
  nonZero = (x: Value): Value => this.one('NonZero', [x]);
  gatherElements = (x: Value, indices: Value, axis: number): Value =>
    this.one('GatherElements', [x, indices], { axis });
  /** Rows of each batch element: `x` [batch, n, …] at `indices` [batch, m] gives [batch, m, …]. */
  gatherRows = (x: Value, indices: Value): Value =>
    this.one('GatherND', [x, this.unsqueeze(indices, [2])], { batch_dims: 1 });
  unsqueeze = (x: Value, axes: number[]): Value => this.unsqueezeAt(x, this.integers(...axes));
  unsqueezeAt = (x: Value, axes: Value): Value => this.one('Unsqueeze', [x, axes]);
  squeeze = (x: Value, axes: number[]): Value => this.one('Squeeze', [x, this.integers(...axes)]);
  expand = (x: Value, shape: readonly (number | Value)[]): Value => this.one('Expand', [x, this.vector(shape)]);
  /**
   * `fill` after the end of `axes`, as many as the vector `amounts` says. All axes are named in the node, because ONNX
   * Runtime's transpose optimizer mistakes the amounts of some for those of all.
   */
  padEnd(x: Value, amounts: Value, axes: number[], fill = 0): Value {
    const parts = this.split(amounts, this.integers(...axes.map(() => 1)), axes.length, 0);
    const rank = x.shape?.length ?? 0;
    const ends = Array.from({ length: rank }, (_, axis) => parts[axes.indexOf(axis)] ?? 0);
    return this.pad(x, this.vector([...ends.map(() => 0), ...ends]), fill);
  }
  /** `fill` around `x`; `amounts`: before each axis, then after each. */
  pad = (x: Value, amounts: Value, fill = 0): Value => this.one('Pad', [x, amounts, fill]);
  /** Scalars `start`, `start + 1`, … below `limit`. */
  range = (start: Value, limit: Value, delta: Value): Value => this.one('Range', [start, limit, delta]);

  /** One vector of 64-bit integers from numbers and vectors. */
  vector(parts: readonly (number | Value)[]): Value {
    if (parts.every((part) => typeof part === 'number')) return this.integers(...parts);
    const vectors = parts.map((part) => (typeof part === 'number' ? this.integers(part) : part));
    return vectors.length === 1 ? defined(vectors[0]) : this.concat(vectors, 0);
  }

  #reduce(type: string, x: Value, axes: number[], keepdims: boolean): Value {
    return this.one(type, [x, this.integers(...axes)], { keepdims: keepdims ? 1 : 0 });
  }
}
