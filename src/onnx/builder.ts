/** Builds graphs: one typed method for each operator. */
import { float } from './attributes.ts';
import { ABSENT, defined, NodeBuilder, type Operand, type Value } from './node-builder.ts';
import type { DataType } from './types.ts';

export { ABSENT, defined, type Operand, type Value } from './node-builder.ts';

/** The results of `topk`, whose size along the axis is k. */
export interface TopK {
  /** The largest elements. */
  readonly values: Value;
  /** Their indices along the axis, int64. */
  readonly indices: Value;
}

/**
 * A graph under construction, with a method for each ONNX operator that dino8 uses, named after the operator
 * (https://onnx.ai/onnx/operators/). Each method adds a node in the current scope and returns its result with the type and
 * shape that shape inference finds. Numbers as operands become float scalar constants. Unless a method says otherwise,
 * operands broadcast as NumPy's do (https://onnx.ai/onnx/repo-docs/Broadcasting.html), and negative axes count from the end.
 * @example
 * const b = new GraphBuilder('example');
 * const x = b.input('x', DataType.FLOAT, ['batch', 3]);
 * b.output('y', b.relu(b.add(x, 1)), ['batch', 3]);
 * const model = b.finish();
 */
export class GraphBuilder extends NodeBuilder {
  // ---- element-wise operators, with broadcasting

  /** a + b */
  add = (a: Operand, b: Operand): Value => this.one('Add', [a, b]);
  /** a − b */
  sub = (a: Operand, b: Operand): Value => this.one('Sub', [a, b]);
  /** a · b */
  mul = (a: Operand, b: Operand): Value => this.one('Mul', [a, b]);
  /** a / b; of integers truncated toward zero */
  div = (a: Operand, b: Operand): Value => this.one('Div', [a, b]);
  /** The remainder of integers, with the sign of `b` (https://onnx.ai/onnx/operators/onnx__Mod.html). */
  mod = (a: Operand, b: Operand): Value => this.one('Mod', [a, b]);
  /** The larger of each pair. */
  max = (a: Operand, b: Operand): Value => this.one('Max', [a, b]);
  /** Logical and of booleans. */
  and = (a: Operand, b: Operand): Value => this.one('And', [a, b]);
  /** Logical or of booleans. */
  or = (a: Operand, b: Operand): Value => this.one('Or', [a, b]);
  /** a = b, as booleans. */
  equal = (a: Operand, b: Operand): Value => this.one('Equal', [a, b]);
  /** a < b, as booleans. */
  less = (a: Operand, b: Operand): Value => this.one('Less', [a, b]);
  /** a ≤ b, as booleans. */
  lessOrEqual = (a: Operand, b: Operand): Value => this.one('LessOrEqual', [a, b]);
  /** a > b, as booleans. */
  greater = (a: Operand, b: Operand): Value => this.one('Greater', [a, b]);
  /** a ≥ b, as booleans. */
  greaterOrEqual = (a: Operand, b: Operand): Value => this.one('GreaterOrEqual', [a, b]);
  /** The smaller of each pair. */
  min = (a: Operand, b: Operand): Value => this.one('Min', [a, b]);
  /** Logical negation of booleans. */
  not = (x: Operand): Value => this.one('Not', [x]);
  /** The sum of any number of values. */
  sum = (values: readonly Value[]): Value => this.one('Sum', values);
  /** `x` under another name. */
  identity = (x: Value): Value => this.one('Identity', [x]);
  /** −x */
  neg = (x: Operand): Value => this.one('Neg', [x]);
  /** −1, 0 or 1. */
  sign = (x: Operand): Value => this.one('Sign', [x]);
  /** eˣ */
  exp = (x: Operand): Value => this.one('Exp', [x]);
  /** The error function. */
  erf = (x: Operand): Value => this.one('Erf', [x]);
  /** ln(1 + eˣ) */
  softplus = (x: Operand): Value => this.one('Softplus', [x]);
  /** |x| */
  abs = (x: Operand): Value => this.one('Abs', [x]);
  /** √x */
  sqrt = (x: Operand): Value => this.one('Sqrt', [x]);
  /** The nearest integer; halfway cases go to the even one. */
  round = (x: Operand): Value => this.one('Round', [x]);
  /** xʸ */
  pow = (x: Operand, y: Operand): Value => this.one('Pow', [x, y]);
  /** max(x, 0) */
  relu = (x: Operand): Value => this.one('Relu', [x]);
  /** The exact GELU, x · Φ(x) (Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415). */
  gelu = (x: Operand): Value => this.one('Gelu', [x]);
  /** 1 / (1 + e⁻ˣ) */
  sigmoid = (x: Operand): Value => this.one('Sigmoid', [x]);
  /** The natural logarithm. */
  log = (x: Operand): Value => this.one('Log', [x]);
  /** The sine of radians. */
  sin = (x: Operand): Value => this.one('Sin', [x]);
  /** The cosine of radians. */
  cos = (x: Operand): Value => this.one('Cos', [x]);
  /** The largest integer that is not above `x`. */
  floor = (x: Operand): Value => this.one('Floor', [x]);
  /** `a` where `condition` is true, and `b` elsewhere. */
  where = (condition: Value, a: Operand, b: Operand): Value => this.one('Where', [condition, a, b]);
  /** `x` limited to [low, high]; the limits are scalars. */
  clip = (x: Operand, low: Operand, high: Operand): Value => this.one('Clip', [x, low, high]);
  /** `x` converted to another element type. */
  cast = (x: Operand, to: DataType): Value => this.one('Cast', [x], { to });

  // ---- contraction, normalisation, reduction, selection

  /** Matrix products of the last two axes; the axes before them broadcast. Vectors behave as in numpy.matmul. */
  matmul = (a: Operand, b: Operand): Value => this.one('MatMul', [a, b]);
  /** A two-dimensional convolution: `x` [batch, in, h, w], `weights` [out, in, kernel, kernel], `bias` [out]. `padding` zeros surround the image (https://onnx.ai/onnx/operators/onnx__Conv.html). */
  conv = (x: Value, weights: Value, bias: Value, kernel: number, stride: number, padding: number): Value =>
    this.one('Conv', [x, weights, bias], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  /** A convolution without bias. `pads` are the zeros before each spatial axis, then those after each. */
  convolve = (x: Value, weights: Value, settings: { strides: number[]; dilations: number[]; pads: number[] }): Value =>
    this.one('Conv', [x, weights], settings);
  /**
   * The transpose of a convolution with these weights, as a linear map: each element of `x` is spread over the window
   * that it would be computed from (https://onnx.ai/onnx/operators/onnx__ConvTranspose.html).
   */
  convolveTransposed = (x: Value, weights: Value, settings: { strides: number[]; dilations: number[] }): Value =>
    this.one('ConvTranspose', [x, weights], settings);
  /** The product of two matrices; `transposed` says which of them are transposed before it. */
  gemm = (a: Value, b: Value, transposed: { a?: boolean; b?: boolean } = {}): Value =>
    this.one('Gemm', [a, b], { transA: transposed.a ? 1 : 0, transB: transposed.b ? 1 : 0 });
  /** The softmax along one axis. */
  softmax = (x: Value, axis = -1): Value => this.one('Softmax', [x], { axis });
  /** Normalises the last axis to mean 0 and variance 1, then applies `scale` and `bias` (Ba et al. 2016, https://arxiv.org/abs/1607.06450). */
  layerNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.one('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: float(epsilon) });
  /** Normalises each channel of `x` [batch, channels, …] over its positions, then applies `scale` and `bias` [channels]. */
  instanceNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.one('InstanceNormalization', [x, scale, bias], { epsilon: float(epsilon) });
  /** The maximum over `axes`, which stay with size 1 if `keepdims` is true. */
  reduceMax = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMax', x, axes, keepdims);
  /** The minimum over `axes`, which stay with size 1 if `keepdims` is true. */
  reduceMin = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMin', x, axes, keepdims);
  /** The sum over `axes`, which stay with size 1 if `keepdims` is true. */
  reduceSum = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceSum', x, axes, keepdims);
  /** The product over `axes`, which stay with size 1 if `keepdims` is true. */
  reduceProd = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceProd', x, axes, keepdims);
  /** The mean over `axes`, which stay with size 1 if `keepdims` is true. */
  reduceMean = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMean', x, axes, keepdims);
  /** The sum over the axes that the vector `axes` lists; `x` itself if it is empty. The axes stay with size 1. */
  reduceSumOver = (x: Value, axes: Value): Value =>
    this.one('ReduceSum', [x, axes], { keepdims: 1, noop_with_empty_axes: 1 });
  /** Cumulative sums along `axis`, each including its own element. */
  cumsum = (x: Value, axis: number): Value => this.cumsumAt(x, this.integer(axis), {});
  /** Cumulative sums along the axis that the scalar `axis` names, from the end with `reverse: 1`, without the own element with `exclusive: 1`. */
  cumsumAt = (x: Value, axis: Value, settings: { reverse?: number; exclusive?: number }): Value =>
    this.one('CumSum', [x, axis], settings);
  /**
   * The `k` largest elements along `axis` in descending order, and their indices. Of equal elements the one with the lower
   * index comes first. `k` is a vector of one integer.
   */
  topk(x: Value, k: Value, axis: number): TopK {
    const [values, indices] = this.addNode('TopK', [x, k], { axis }, 2, '');
    return { values: defined(values), indices: defined(indices) };
  }
  /**
   * Resizes to the shape `sizes` by linear interpolation with antialiasing, as Pillow's bilinear filter does: positions
   * beyond the border have no weight (https://onnx.ai/onnx/operators/onnx__Resize.html).
   */
  resizeAntialiased = (x: Value, sizes: Value): Value =>
    this.one('Resize', [x, ABSENT, ABSENT, sizes], { mode: 'linear', antialias: 1, exclude_outside: 1 });
  /** Samples `x` [batch, channels, h, w] bilinearly at `grid` [batch, h₂, w₂, 2], whose (x, y) run from −1 to 1 over the image; samples outside are 0 (https://onnx.ai/onnx/operators/onnx__GridSample.html, `align_corners` 0). */
  gridSample = (x: Value, grid: Value): Value =>
    this.one('GridSample', [x, grid], { mode: 'linear', padding_mode: 'zeros', align_corners: 0 });

  // ---- movement

  /** The dimensions of `x` from axis `start` up to, but not including, axis `end`, as a vector. */
  shapeOf = (x: Value, start = 0, end?: number): Value => this.one('Shape', [x], { start, end });
  /** The size of `x` along one axis, as a vector with one element. */
  dimension = (x: Value, axis: number): Value => this.shapeOf(x, axis, axis + 1);
  /**
   * The same elements in another shape: numbers (0 keeps the dimension of that axis, and −1 is inferred), or vectors that
   * are concatenated.
   */
  reshape = (x: Value, shape: readonly (number | Value)[]): Value => this.one('Reshape', [x, this.vector(shape)]);
  /** Axis `i` of the result is axis `perm[i]` of `x`. */
  transpose = (x: Value, perm: number[]): Value => this.one('Transpose', [x], { perm });
  /** Joins values along `axis`; their other dimensions are equal. */
  concat = (values: readonly Value[], axis: number): Value => this.one('Concat', values, { axis });
  /** Splits `x` along `axis` into parts of the sizes that the vector `sizes` lists. */
  split(x: Value, sizes: Value, parts: number, axis: number): Value[] {
    return this.addNode('Split', [x, sizes], { axis }, parts, '');
  }
  /** Splits `x` along `axis` into parts of equal size, except that the last part takes the remainder too. */
  chunk(x: Value, parts: number, axis: number): Value[] {
    const total = this.dimension(x, axis);
    const each = this.div(total, this.integers(parts));
    const last = this.sub(total, this.mul(each, this.integers(parts - 1)));
    const sizes = this.vector([...Array.from({ length: parts - 1 }, () => each), last]);
    return this.split(x, sizes, parts, axis);
  }
  /** The elements from `starts` up to, but not including, `ends` along `axes` (https://onnx.ai/onnx/operators/onnx__Slice.html). */
  slice = (
    x: Value,
    starts: (number | Value)[],
    ends: (number | Value)[],
    axes: number[],
    steps = axes.map(() => 1),
  ): Value =>
    this.one('Slice', [x, this.vector(starts), this.vector(ends), this.integers(...axes), this.integers(...steps)]);
  /** Slices of `x` along `axis` at `indices`: the axis is replaced by the shape of `indices` (https://onnx.ai/onnx/operators/onnx__Gather.html). */
  gather = (x: Value, indices: Value, axis: number): Value => this.one('Gather', [x, indices], { axis });
  /**
   * Adds each element of `updates` to the element of `x` whose position along `axis` is given in `indices`; repeated
   * indices add up (https://onnx.ai/onnx/operators/onnx__ScatterElements.html).
   */
  scatterAdd = (x: Value, indices: Value, updates: Value, axis: number): Value =>
    this.one('ScatterElements', [x, indices, updates], { axis, reduction: 'add' });
  /** The indices of the elements that are neither 0 nor false, [rank, count]. */
  nonZero = (x: Value): Value => this.one('NonZero', [x]);
  /** Element by element, the one of `x` at the index given along `axis`; the result has the shape of `indices` (https://onnx.ai/onnx/operators/onnx__GatherElements.html). */
  gatherElements = (x: Value, indices: Value, axis: number): Value =>
    this.one('GatherElements', [x, indices], { axis });
  /** Selects rows in each batch element: from `x` [batch, n, …] at `indices` [batch, m], the result is [batch, m, …]. */
  gatherRows = (x: Value, indices: Value): Value =>
    this.one('GatherND', [x, this.unsqueeze(indices, [2])], { batch_dims: 1 });
  /** Inserts axes of size 1 at positions `axes` of the result. */
  unsqueeze = (x: Value, axes: number[]): Value => this.unsqueezeAt(x, this.integers(...axes));
  /** Inserts axes of size 1 at the positions that the vector `axes` lists. */
  unsqueezeAt = (x: Value, axes: Value): Value => this.one('Unsqueeze', [x, axes]);
  /** Removes axes of size 1. */
  squeeze = (x: Value, axes: number[]): Value => this.one('Squeeze', [x, this.integers(...axes)]);
  /** Broadcasts `x` to `shape`: numbers, or vectors that are concatenated. */
  expand = (x: Value, shape: readonly (number | Value)[]): Value => this.one('Expand', [x, this.vector(shape)]);
  /**
   * Pads the ends of `axes` with `fill`; the vector `amounts` says by how much. The node names all axes, because ONNX
   * Runtime's transpose optimizer takes amounts of some axes for those of all axes.
   */
  padEnd(x: Value, amounts: Value, axes: number[], fill = 0): Value {
    const parts = this.split(amounts, this.integers(...axes.map(() => 1)), axes.length, 0);
    const rank = x.shape?.length ?? 0;
    const ends = Array.from({ length: rank }, (_, axis) => parts[axes.indexOf(axis)] ?? 0);
    return this.pad(x, this.vector([...ends.map(() => 0), ...ends]), fill);
  }
  /** Surrounds `x` with `fill`. `amounts` lists the padding before each axis, then that after each axis. */
  pad = (x: Value, amounts: Value, fill = 0): Value => this.one('Pad', [x, amounts, fill]);
  /** The vector `start`, `start + delta`, … of values below `limit`; all three are scalars. */
  range = (start: Value, limit: Value, delta: Value): Value => this.one('Range', [start, limit, delta]);

  /** Concatenates numbers and vectors to one vector of 64-bit integers. */
  vector(parts: readonly (number | Value)[]): Value {
    if (parts.every((part) => typeof part === 'number')) return this.integers(...parts);
    const vectors = parts.map((part) => (typeof part === 'number' ? this.integers(part) : part));
    return vectors.length === 1 ? defined(vectors[0]) : this.concat(vectors, 0);
  }

  #reduce(type: string, x: Value, axes: number[], keepdims: boolean): Value {
    return this.one(type, [x, this.integers(...axes)], { keepdims: keepdims ? 1 : 0 });
  }
}
