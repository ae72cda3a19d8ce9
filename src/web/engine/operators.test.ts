/** Each operator of the engine computes what ONNX Runtime computes, on random tensors and on what is easy to get wrong. */
import { create, toBinary } from '@bufbuild/protobuf';
import { ModelProtoSchema, OperatorSetIdProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { Dino8Error } from '../../base/errors.ts';
import { type AttributeValue, float } from '../../onnx/attributes.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor, type TypedArray } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { engineFiles } from '../../pipeline/web/engine-files.ts';
import { Session } from '../../runtime/session.ts';
import { describeTensor, type Tensor, tensor } from '../../runtime/tensor.ts';
import { haveSameBytes } from '../../testing/difference.ts';
import { EngineModule, supportedVariants } from './engine-module.ts';
import { EngineSession } from './engine-session.ts';

const { FLOAT, UINT8, INT8, INT32, INT64, BOOL } = DataType;

/** One node and its inputs. */
interface Case {
  readonly operator: string;
  readonly inputs: readonly (Tensor | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly opset?: number;
  readonly outputs?: number;
  /** The largest difference between floats, relative to those above 1. Integers are always equal. */
  readonly tolerance?: number;
}

/** Random numbers that are the same on every machine (mulberry32). */
class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = seed;
  }
  /** From 0 to below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
  /** Both are included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }
  chance(share = 0.5): boolean {
    return this.next() < share;
  }
  pick<Item>(items: readonly Item[]): Item {
    return items[this.integer(0, items.length - 1)] as Item; // there is at least one
  }
  shape(rank: number, largest = 5, empty = 0.04): number[] {
    return Array.from({ length: rank }, () => (this.chance(empty) ? 0 : this.integer(1, largest)));
  }
  axis(rank: number): number {
    return this.integer(-rank, rank - 1);
  }
  shuffled<Item>(items: readonly Item[]): Item[] {
    return items
      .map((item) => [this.next(), item] as const)
      .sort(([a], [b]) => a - b)
      .map(([, item]) => item);
  }
  /** Some axes, from either end. */
  axes(rank: number, count: number): number[] {
    const all = Array.from({ length: rank }, (_, axis) => axis);
    return this.shuffled(all)
      .slice(0, count)
      .map((axis) => (this.chance() ? axis - rank : axis));
  }
  type(): DataType {
    return this.pick([FLOAT, UINT8, INT8, INT32, INT64, BOOL]);
  }
  floats(shape: readonly number[], scale = 2): Tensor {
    return of(FLOAT, shape, () => (this.next() + this.next() + this.next() - 1.5) * scale);
  }
  /** Elements of any type, over its whole range or near zero. */
  tensor(shape: readonly number[], type = FLOAT, low?: number, high?: number): Tensor {
    if (type === FLOAT) return this.floats(shape);
    const limits: Partial<Record<DataType, readonly [number, number]>> = {
      [UINT8]: [0, 255],
      [INT8]: [-128, 127],
      [BOOL]: [0, 1],
    };
    const [least, most] = limits[type] ?? [-1000, 1000];
    return of(type, shape, () => this.integer(low ?? least, high ?? most));
  }
}

/** A tensor of any type, element by element. */
function of(type: DataType, shape: readonly number[], element: (index: number) => number): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const numbers = Array.from({ length: count }, (_, index) => element(index));
  const arrays: Partial<Record<DataType, () => TypedArray>> = {
    [FLOAT]: () => Float32Array.from(numbers),
    [UINT8]: () => Uint8Array.from(numbers),
    [BOOL]: () => Uint8Array.from(numbers),
    [INT8]: () => Int8Array.from(numbers),
    [INT32]: () => Int32Array.from(numbers),
    [INT64]: () => BigInt64Array.from(numbers, BigInt),
  };
  return tensor(arrays[type]?.() ?? new Float64Array(0), shape, type);
}
const ints = (values: readonly number[], type = INT64): Tensor =>
  of(type, [values.length], (index) => values[index] ?? 0);
const scalar = (value: number, type = INT64): Tensor => of(type, [], () => value);
const listed = (values: readonly number[]): Tensor => of(FLOAT, [values.length], (index) => values[index] ?? 0);
const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);

/** Shapes that meet by broadcasting. */
function meeting(r: Random, count: number): number[][] {
  const shape = r.shape(r.integer(0, 5), 5, 0.03);
  return Array.from({ length: count }, () => {
    const own = shape.map((size) => (r.chance(0.35) ? 1 : size));
    return own.slice(r.chance(0.4) ? r.integer(0, own.length) : 0);
  });
}

const HARD = [0, -0, 1, -1, 0.5, 1.5, 2.5, -2.5, 1e-38, 3e-42, 88, -88, 104, 1e10, -1e30, 3.4e38];
const NOT_FINITE = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];

type Generator = (r: Random) => Omit<Case, 'operator'>;

const unary =
  (types = [FLOAT], tolerance = 1e-5, numbers = [...HARD, ...NOT_FINITE]): Generator =>
  (r) => {
    const type = r.pick(types);
    const inputs = [type === FLOAT && r.chance(0.4) ? listed(numbers) : r.tensor(r.shape(r.integer(0, 4), 7), type)];
    return { inputs, tolerance };
  };

const binary =
  (types: readonly DataType[], low?: number): Generator =>
  (r) => {
    const type = r.pick(types);
    return { inputs: meeting(r, 2).map((shape) => r.tensor(shape, type, low)), tolerance: 0 };
  };

const several: Generator = (r) => {
  const type = r.pick([FLOAT, INT64, INT32]);
  const inputs = meeting(r, r.integer(1, 3)).map((shape) => r.tensor(shape, type));
  return { inputs: r.chance(0.2) && type === FLOAT ? [listed(NOT_FINITE), scalar(1, FLOAT)] : inputs, tolerance: 0 };
};

const reduction =
  (types: readonly DataType[], most = 9): Generator =>
  (r) => {
    const rank = r.integer(1, 5);
    const axes = r.axes(rank, r.integer(1, rank));
    const type = r.pick(types);
    const data = r.tensor(r.shape(rank, 7), type, -most, most);
    const keepdims = r.integer(0, 1);
    if (r.chance(0.2)) return { inputs: [data], attributes: { keepdims, noop_with_empty_axes: r.integer(0, 1) } };
    return { inputs: [data, ints(axes)], attributes: { keepdims } };
  };

/** Dimensions of two tensors that can be multiplied. */
function matrices(r: Random): [number[], number[]] {
  const [m = 1, k = 1, n = 1] = [0, 0, 0].map(() =>
    r.pick([r.integer(1, 40), r.integer(1, 9), r.integer(1, 150), 16, 1]),
  );
  const batch = r.shape(r.integer(0, 3), 3, 0);
  switch (r.integer(0, 3)) {
    case 0:
      return [
        [...batch, m, k],
        [k, n],
      ];
    case 1:
      return [
        [...batch, m, k],
        [...batch, k, n],
      ];
    case 2:
      return [
        [...batch.map((size) => (r.chance() ? 1 : size)), m, k],
        [...batch.slice(1).map((size) => (r.chance() ? 1 : size)), k, n],
      ];
    default:
      return r.chance() ? [[k], [...batch, k, n]] : [[...batch, m, k], [k]];
  }
}

function withScales(r: Random, type: DataType): Tensor[] {
  return [scalar(r.pick([0.01, 0.5, 1 / 3]), FLOAT), r.tensor([], type)];
}

const CASES: Readonly<Record<string, Generator>> = {
  Abs: unary([FLOAT, INT32, INT64, INT8]),
  Neg: unary([FLOAT, INT32, INT64]),
  Ceil: unary([FLOAT], 0),
  Floor: unary([FLOAT], 0),
  Round: unary([FLOAT], 0),
  Sqrt: unary([FLOAT], 0),
  Reciprocal: unary([FLOAT], 1e-6),
  Relu: unary([FLOAT, INT32]),
  Exp: unary([FLOAT], 1e-5),
  Log: unary(),
  Sin: unary([FLOAT], 1e-5, [0, -0, 1, 3, 100, -1000.5, Number.NaN]),
  Cos: unary([FLOAT], 1e-5, [0, -0, 1, 3, 100, -1000.5, Number.NaN]),
  Tanh: unary([FLOAT], 1e-5, [...HARD, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]),
  Sigmoid: unary([FLOAT], 1e-5, [...HARD, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]),
  Erf: unary([FLOAT], 1e-5, HARD),
  Gelu: (r) => ({ ...unary([FLOAT], 1e-5, HARD)(r), attributes: { approximate: r.pick(['none', 'tanh']) } }),
  Not: unary([BOOL]),
  Add: binary([FLOAT, INT64, INT32]),
  Sub: binary([FLOAT, INT64, INT32]),
  Mul: binary([FLOAT, INT64, INT32]),
  Div: (r) => {
    const [a = [], b = []] = meeting(r, 2);
    const type = r.pick([FLOAT, INT64, INT32]);
    return { inputs: [r.tensor(a, type), type === FLOAT ? r.floats(b) : r.tensor(b, type, 1, 9)], tolerance: 0 };
  },
  Mod: (r) => {
    const [a = [], b = []] = meeting(r, 2);
    const type = r.pick([INT64, INT32]);
    return { inputs: [r.tensor(a, type), r.tensor(b, type, 1, 9)] };
  },
  Pow: (r) => ({ inputs: [r.floats([3, 4]), scalar(r.pick([0, 1, 2, 3, 0.5, -1]), FLOAT)], tolerance: 1e-5 }),
  And: binary([BOOL]),
  Or: binary([BOOL]),
  Equal: binary([FLOAT, INT64, INT32, BOOL], 0),
  Less: binary([FLOAT, INT64, INT32]),
  LessOrEqual: binary([FLOAT, INT64, INT32]),
  Greater: binary([FLOAT, INT64, INT32]),
  GreaterOrEqual: binary([FLOAT, INT64, INT32]),
  Max: several,
  Min: several,
  Where: (r) => {
    const [by = [], a = [], b = []] = meeting(r, 3);
    const type = r.pick([FLOAT, INT64, INT32, UINT8]);
    return { inputs: [r.tensor(by, BOOL), r.tensor(a, type), r.tensor(b, type)] };
  },
  Clip: (r) => {
    const type = r.pick([FLOAT, INT64, INT32]);
    const low = r.chance(0.7) ? scalar(-1, type) : undefined;
    const high = r.chance(0.7) ? scalar(1, type) : undefined;
    const data = r.chance(0.3) && type === FLOAT ? listed([...HARD, ...NOT_FINITE]) : r.tensor(r.shape(3), type);
    return { inputs: high ? [data, low, high] : low ? [data, low] : [data], tolerance: 0 };
  },
  Cast: (r) => {
    const [from, to] = [r.type(), r.type()];
    const shape = r.shape(r.integer(0, 3));
    // What floats that do not fit an integer become is left open.
    const isNarrow = from === FLOAT && (to === UINT8 || to === INT8);
    const data = isNarrow ? of(FLOAT, shape, () => r.integer(0, 1000) / 8) : r.tensor(shape, from);
    return { inputs: [data], attributes: { to } };
  },
  QuantizeLinear: (r) => {
    const type = r.pick([UINT8, INT8]);
    const data = r.chance(0.3) ? listed([...HARD, 0.005, 0.015, 0.025, -0.005, 1.275]) : r.floats(r.shape(3, 9));
    return { inputs: [data, ...withScales(r, type)] };
  },
  DequantizeLinear: (r) => {
    const type = r.pick([UINT8, INT8]);
    const [rows, columns] = [r.integer(1, 5), r.integer(1, 9)];
    const data = r.tensor([2, rows, columns], type);
    if (r.chance()) return { inputs: [data, ...withScales(r, type)], tolerance: 0 };
    const axis = r.pick([-1, 1, 2]);
    const size = axis === 1 ? rows : columns;
    return { inputs: [data, r.floats([size]), r.tensor([size], type)], attributes: { axis }, tolerance: 0 };
  },
  DynamicQuantizeLinear: (r) => ({
    inputs: [r.chance(0.2) ? of(FLOAT, [5], () => 0) : r.floats(r.shape(2, 20, 0))],
    outputs: 3,
    tolerance: 1e-7,
  }),
  LayerNormalization: (r) => {
    const shape = [...r.shape(r.integer(0, 2), 4, 0), r.integer(1, 70)];
    const size = shape.slice(-1);
    const inputs = [r.floats(shape), r.floats(size), ...(r.chance(0.7) ? [r.floats(size)] : [])];
    return { inputs, attributes: { axis: -1, epsilon: float(1e-5) } };
  },
  InstanceNormalization: (r) => {
    const channels = r.integer(1, 5);
    const inputs = [
      r.floats([r.integer(1, 2), channels, r.integer(2, 40)]),
      r.floats([channels]),
      r.floats([channels]),
    ];
    return { inputs, attributes: { epsilon: float(1e-5) }, tolerance: 3e-5 };
  },
  Softmax: (r) => {
    const rank = r.integer(1, 4);
    const data = r.chance(0.2)
      ? of(FLOAT, [2, 3], (index) => [-1e9, 0, 5, -1e9, -1e9, -1e9][index] ?? 0)
      : r.floats(r.shape(rank, 9), 9);
    return { inputs: [data], attributes: { axis: r.axis(data.shape.length) }, tolerance: 1e-6 };
  },
  ReduceSum: reduction([FLOAT, INT64, INT32]),
  ReduceMean: reduction([FLOAT]),
  // Products that do not fit their type are left open.
  ReduceProd: reduction([FLOAT, INT64, INT32], 1),
  ReduceMax: (r) => withoutEmpty(reduction([FLOAT, INT64, INT32, UINT8])(r), r),
  ReduceMin: (r) => withoutEmpty(reduction([FLOAT, INT64, INT32, UINT8])(r), r),
  ArgMax: (r) => {
    const rank = r.integer(1, 4);
    const data = r.tensor(r.shape(rank, 5, 0), r.pick([FLOAT, INT32]), -3, 3);
    return { inputs: [data], attributes: { axis: r.axis(rank), keepdims: r.integer(0, 1) } };
  },
  CumSum: (r) => {
    const rank = r.integer(1, 4);
    const data = r.tensor(r.shape(rank), r.pick([FLOAT, INT64, INT32]));
    const attributes = { exclusive: r.integer(0, 1), reverse: r.integer(0, 1) };
    return { inputs: [data, scalar(r.axis(rank), r.pick([INT64, INT32]))], attributes };
  },
  TopK: (r) => {
    const rank = r.integer(1, 3);
    const shape = r.shape(rank, 40, 0);
    const axis = r.axis(rank);
    // Whole numbers meet each other often.
    const data = r.chance() ? of(FLOAT, shape, () => r.integer(-9, 9)) : r.floats(shape);
    const size = shape.at(axis) ?? 1;
    return { inputs: [data, ints([r.integer(0, size)])], attributes: { axis, largest: r.integer(0, 1) }, outputs: 2 };
  },
  Reshape: (r) => {
    const shape = r.shape(r.integer(1, 5));
    const data = r.tensor(shape, r.type());
    const wanted = r.pick([
      [-1, ...shape.slice(1)],
      r.shuffled(shape),
      shape.map((size) => (r.chance() ? 0 : size)),
      [0, -1],
    ]);
    return { inputs: [data, ints(wanted)], attributes: r.chance(0.1) && !wanted.includes(-1) ? { allowzero: 1 } : {} };
  },
  Squeeze: (r) => {
    const shape = r.shape(r.integer(0, 5)).map((size) => (r.chance() ? 1 : size));
    const data = r.tensor(shape, r.type());
    const axes = shape.flatMap((size, axis) =>
      size === 1 && r.chance(0.7) ? [r.chance() ? axis : axis - shape.length] : [],
    );
    return { inputs: r.chance(0.3) ? [data] : [data, ints(r.chance(0.1) ? [r.integer(-6, 6)] : axes)] };
  },
  Unsqueeze: (r) => {
    const [rank, count] = [r.integer(0, 4), r.integer(1, 3)];
    const axes = r.chance(0.1) ? [0, 0] : r.axes(rank + count, count);
    return { inputs: [r.tensor(r.shape(rank), r.type()), ints(axes)] };
  },
  Flatten: (r) => {
    const rank = r.integer(0, 4);
    return { inputs: [r.tensor(r.shape(rank), r.type())], attributes: { axis: r.integer(-rank, rank) } };
  },
  Identity: (r) => ({ inputs: [r.tensor(r.shape(r.integer(0, 4)), r.type())] }),
  Transpose: (r) => {
    const rank = r.integer(1, 6);
    const perm = r.shuffled(Array.from({ length: rank }, (_, axis) => axis));
    return {
      inputs: [r.tensor(r.shape(rank, rank > 4 ? 4 : 20), r.type())],
      attributes: r.chance(0.2) ? {} : { perm },
    };
  },
  Concat: (r) => {
    const [rank, type] = [r.integer(1, 4), r.type()];
    const [shape, axis] = [r.shape(rank), r.axis(rank)];
    const inputs = Array.from({ length: r.integer(1, 4) }, () =>
      r.tensor(shape.with(axis < 0 ? axis + rank : axis, r.integer(0, 4)), type),
    );
    return { inputs, attributes: { axis } };
  },
  Slice: (r) => {
    const rank = r.integer(1, 4);
    const axes = r.axes(rank, r.integer(1, rank));
    const bound = () => (r.chance(0.15) ? r.pick([2 ** 31 - 1, -(2 ** 31), 2 ** 53, -(2 ** 53)]) : r.integer(-9, 9));
    const steps = axes.map(() => r.pick([1, 1, 2, 3, -1, -2, 100, -100]));
    const parts = [axes.map(bound), axes.map(bound), axes, ...(r.chance(0.7) ? [steps] : [])];
    return { inputs: [r.tensor(r.shape(rank, 8), r.type()), ...parts.map((values) => ints(values))] };
  },
  Gather: (r) => {
    const rank = r.integer(1, 4);
    const [shape, axis] = [r.shape(rank, 5, 0), r.axis(rank)];
    const size = shape.at(axis) ?? 1;
    const indices = r.tensor(
      r.shape(r.integer(0, 3), 4),
      r.pick([INT64, INT32]),
      -size,
      size - 1 + (r.chance(0.1) ? 1 : 0),
    );
    return { inputs: [r.tensor(shape, r.type()), indices], attributes: { axis } };
  },
  GatherElements: (r) => {
    const rank = r.integer(1, 3);
    const [shape, axis] = [r.shape(rank, 5, 0), r.axis(rank)];
    const size = shape.at(axis) ?? 1;
    const by = shape.map((each) => r.integer(1, each));
    return { inputs: [r.tensor(shape, r.type()), r.tensor(by, INT64, -size, size - 1)], attributes: { axis } };
  },
  GatherND: (r) => {
    const rank = r.integer(1, 4);
    const batch = r.integer(0, rank - 1);
    const shape = r.shape(rank, 4, 0);
    const depth = r.integer(1, rank - batch);
    const by = [...shape.slice(0, batch), ...r.shape(r.integer(0, 2), 3), depth];
    const indices = of(INT64, by, (index) => {
      const size = shape[batch + (index % depth)] ?? 1;
      return r.integer(-size, size - 1 + (r.chance(0.02) ? 1 : 0));
    });
    return { inputs: [r.tensor(shape, r.type()), indices], attributes: { batch_dims: batch } };
  },
  Pad: (r) => {
    const rank = r.integer(1, 4);
    const axes = r.axes(rank, r.integer(1, rank));
    const type = r.pick([FLOAT, INT64, INT32, UINT8, BOOL]);
    const pads = Array.from({ length: 2 * axes.length }, () => r.integer(r.chance(0.2) ? -1 : 0, 3));
    return { inputs: [r.tensor(r.shape(rank, 5, 0), type), ints(pads), r.tensor([], type), ints(axes)] };
  },
  Split: (r) => {
    const [rank, outputs] = [r.integer(1, 3), r.integer(1, 4)];
    const axis = r.axis(rank);
    const sizes = Array.from({ length: outputs }, () => r.integer(0, 4));
    const data = r.tensor(r.shape(rank).with(axis < 0 ? axis + rank : axis, sum(sizes)), r.type());
    if (r.chance(0.6)) return { inputs: [data, ints(sizes)], attributes: { axis }, outputs };
    const parts = r.tensor(
      data.shape.map((size) => Math.max(size, outputs)),
      data.type,
    );
    return { inputs: [parts], attributes: { axis, num_outputs: outputs }, outputs };
  },
  Tile: (r) => {
    const rank = r.integer(1, 4);
    const repeats = Array.from({ length: rank }, () => r.pick([0, 1, 1, 2, 3]));
    return { inputs: [r.tensor(r.shape(rank), r.type()), ints(repeats)] };
  },
  Expand: (r) => {
    const [a = [], b = []] = meeting(r, 2);
    return { inputs: [r.tensor(a, r.type()), ints(r.chance(0.1) ? [2, 3] : b)] };
  },
  Shape: (r) => {
    const attributes = { start: r.integer(-6, 6), ...(r.chance() && { end: r.integer(-6, 6) }) };
    return { inputs: [r.tensor(r.shape(r.integer(0, 5)), r.type())], attributes };
  },
  Size: (r) => ({ inputs: [r.tensor(r.shape(r.integer(0, 5)), r.type())] }),
  Range: (r) => {
    const type = r.pick([INT64, INT32, FLOAT]);
    const step = r.pick([-1, 1]) * r.integer(1, 9);
    return {
      inputs: [r.integer(-40, 40), r.integer(-40, 40), step].map((value) =>
        scalar(type === FLOAT ? value / 4 : value, type),
      ),
    };
  },
  ConstantOfShape: (r) => {
    const { type, data } = r.tensor([1], r.type());
    return {
      inputs: [ints(r.shape(r.integer(0, 4)))],
      attributes: r.chance(0.2) ? {} : { value: makeTensor('', [1], data, type) },
    };
  },
  MatMul: (r) => ({ inputs: matrices(r).map((shape) => r.floats(shape)) }),
  MatMulInteger: (r) => {
    const types = [UINT8, r.pick([UINT8, INT8])];
    const zeros = types.map((type) => r.tensor([], type)).slice(0, r.integer(0, 2));
    return { inputs: [...matrices(r).map((shape, index) => r.tensor(shape, types[index])), ...zeros] };
  },
  'com.microsoft.MatMulIntegerToFloat': (r) => {
    const [m, k, n] = [r.integer(1, 50), r.integer(1, 150), r.integer(1, 70)];
    const types = [UINT8, r.pick([UINT8, INT8])] as const;
    const channel = r.pick([[], [1], [n]]);
    const scales = [scalar(0.01, FLOAT), of(FLOAT, channel, () => r.next() / 50)];
    const zeros = r.chance(0.8) ? [r.tensor([], types[0]), r.chance() ? r.tensor(channel, types[1]) : undefined] : [];
    const bias = zeros.length > 0 && r.chance(0.7) ? [r.floats([n])] : [];
    const factors = [r.tensor([...r.shape(r.integer(0, 2), 3, 0), m, k], types[0]), r.tensor([k, n], types[1])];
    return { inputs: [...factors, ...scales, ...zeros, ...bias] };
  },
  Gemm: (r) => {
    const [m, k, n, transA, transB] = [
      r.integer(1, 20),
      r.integer(1, 20),
      r.integer(1, 20),
      r.integer(0, 1),
      r.integer(0, 1),
    ];
    const inputs = [r.floats(transA ? [k, m] : [m, k]), r.floats(transB ? [n, k] : [k, n])];
    const added = r.pick([[], [n], [1, n], [m, 1], [m, n]]);
    return { inputs: [...inputs, r.floats(added)], attributes: { transA, transB, alpha: float(0.5), beta: float(-2) } };
  },
  Conv: (r) => {
    const group = r.pick([1, 1, 2]);
    const [channels, kernels, size] = [group * r.integer(1, 5), group * r.integer(1, 9), r.integer(1, 4)];
    const data = r.floats([r.integer(1, 2), channels, r.integer(4, 20), r.integer(4, 20)]);
    const weight = r.floats([kernels, channels / group, size, size]);
    const stride = r.integer(1, 3);
    const pads = [0, 0, 0, 0].map(() => r.integer(0, 2));
    const attributes = { group, strides: [stride, stride], pads };
    return { inputs: [data, weight, ...(r.chance() ? [r.floats([kernels])] : [])], attributes };
  },
  GridSample: (r) => {
    const grid = of(FLOAT, [2, r.integer(1, 9), r.integer(1, 9), 2], () => (r.next() - 0.5) * 3.2);
    const attributes = { align_corners: r.integer(0, 1), mode: 'linear', padding_mode: 'zeros' };
    return { inputs: [r.floats([2, r.integer(1, 4), r.integer(1, 9), r.integer(1, 9)]), grid], attributes };
  },
};

/** The extremes of no elements are left open. */
function withoutEmpty({ inputs, ...others }: Omit<Case, 'operator'>, r: Random): Omit<Case, 'operator'> {
  const [data, ...axes] = inputs;
  if (!data || data.data.length > 0) return { inputs, ...others };
  const shape = data.shape.map((size) => Math.max(1, size));
  return { inputs: [r.tensor(shape, data.type), ...axes], ...others };
}

/** The shape of an input with a name for each dimension, so that runtimes know it when the model runs. */
const symbols = (input: number, { shape }: Tensor): string[] => shape.map((_, axis) => `size_${input}_${axis}`);

/** A model of one node, as the bytes of a file. */
function modelOf({ operator, inputs, attributes, opset = 21, outputs = 1 }: Case): Uint8Array {
  const dot = operator.lastIndexOf('.');
  const names = inputs.map((input, index) => (input ? `x${index}` : ''));
  const results = Array.from({ length: outputs }, (_, index) => `y${index}`);
  const node = makeNode(operator.slice(dot + 1), 'tried', names, results, attributes);
  if (dot > 0) node.domain = operator.slice(0, dot);
  const declared = inputs.flatMap((input, index) =>
    input ? [makeValueInfo(`x${index}`, input.type, symbols(index, input))] : [],
  );
  const model = create(ModelProtoSchema, {
    irVersion: 10n,
    opsetImport: [
      create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(opset) }),
      create(OperatorSetIdProtoSchema, { domain: 'com.microsoft', version: 1n }),
    ],
    graph: {
      name: 'one',
      node: [node],
      input: declared,
      output: results.map((name) => create(ValueInfoProtoSchema, { name })),
    },
  });
  return toBinary(ModelProtoSchema, model);
}

const feedsOf = ({ inputs }: Case) =>
  Object.fromEntries(inputs.flatMap((input, index) => (input ? [[`x${index}`, input]] : [])));

/** The results of a session, or why the model does not load or run. */
async function resultsOf(load: () => Promise<Session | EngineSession>, tried: Case): Promise<Tensor[] | string> {
  try {
    const session = await load();
    try {
      using results = await session.run(feedsOf(tried));
      return Array.from({ length: tried.outputs ?? 1 }, (_, index) => {
        const { type, shape, data } = results.get(`y${index}`);
        return { type, shape: [...shape], data: data.slice() };
      });
    } finally {
      await session.close();
    }
  } catch (error) {
    // A defect, such as a trap of WebAssembly, has another class or says that the engine stopped.
    if (!(error instanceof Dino8Error) || /the engine stopped/.test(error.message)) throw error;
    return error.message;
  }
}

/** What differs between two results; undefined if nothing does. */
function difference(found: Tensor, wanted: Tensor, tolerance: number): string | undefined {
  if (describeTensor(found) !== describeTensor(wanted)) return `${describeTensor(found)} for ${describeTensor(wanted)}`;
  if (!(wanted.data instanceof Float32Array)) {
    if (haveSameBytes(found.data, wanted.data)) return undefined;
    return `[${[...found.data].slice(0, 20)}] for [${[...wanted.data].slice(0, 20)}]`;
  }
  for (const [index, value] of wanted.data.entries()) {
    const other = Number(found.data[index]);
    if (Object.is(value, other) || value === other) continue;
    if (!(Math.abs(value - other) <= tolerance * Math.max(1, Math.abs(value))))
      return `${other} for ${value} at ${index}`;
  }
  return undefined;
}

/** A case as a message shows it. */
function described({ inputs, attributes = {} }: Case): string {
  const tensors = inputs.map((input) => (input ? describeTensor(input) : '-'));
  const names = Object.entries(attributes).map(([name, value]) => `${name} ${String(value)}`);
  return [...tensors, ...names].join(' ');
}

/** What the engine does otherwise than ONNX Runtime; undefined if both refuse a case. */
async function problemsOf(engine: EngineModule, tried: Case): Promise<string[] | undefined> {
  const model = modelOf(tried);
  const wanted = await resultsOf(() => Session.create(model), tried);
  const found = await resultsOf(() => EngineSession.create(engine, model, tried.operator), tried);
  if (typeof wanted === 'string')
    return typeof found === 'string' ? undefined : [`only the engine runs it; ONNX Runtime says: ${wanted}`];
  if (typeof found === 'string') return [`only ONNX Runtime runs it; the engine says: ${found}`];
  return wanted.flatMap((value, index) => {
    const other = found[index];
    return (other ? difference(other, value, tried.tolerance ?? 1e-5) : 'nothing') ?? [];
  });
}

const files = await engineFiles();
const why = files ? '' : ' (it needs `node kernels/build-engine.mjs`)';
const TRIES = 12;

describe.skipIf(!files).each(supportedVariants())(`the engine, in its variant %s${why}`, (variant) => {
  test.each(Object.entries(CASES))('%s gives what ONNX Runtime gives', async (operator, generate) => {
    const engine = await EngineModule.create(files?.[variant] ?? new Uint8Array());
    const found: string[] = [];
    let compared = 0;
    for (let seed = 1; seed <= TRIES; seed++) {
      const tried: Case = { operator, ...generate(new Random(seed * 7919)) };
      const problems = await problemsOf(engine, tried);
      if (problems) compared++;
      for (const problem of problems ?? []) found.push(`seed ${seed} ${described(tried)}: ${problem}`);
    }
    expect(found).toEqual([]);
    // What both refuse compares nothing.
    expect(compared).toBeGreaterThan(TRIES / 2);
  });
});
