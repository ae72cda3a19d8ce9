/**
 * Building a graph: one typed method per operator, and scopes, so that the name of a node is the path of the module
 * it belongs to. Every value knows what shape inference knows of it.
 */
import { create } from '@bufbuild/protobuf';
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
} from 'onnx-buf';
import { type AttributeValue, float, makeAttribute } from './attributes.ts';
import { type FindFunction, functionFinder, type Infos, inferNode, tensorInfo } from './infer/infer.ts';
import type { Model } from './read.ts';
import { makeTensor, type TypedArray } from './tensor.ts';
import {
  DataType,
  type FunctionProto,
  type GraphProto,
  type Shape,
  type TensorInfo,
  type TensorProto,
} from './types.ts';
import { makeValueInfo } from './value-info.ts';

/** The operator set and file format that dino8 writes: LayerNormalization, Gelu, 4-bit types, readable since ONNX Runtime 1.18. */
export const OPSET = 21;
export const IR_VERSION = 10n;

/** A value of the graph under construction. */
export interface Value {
  readonly name: string;
  readonly type: DataType | undefined;
  readonly shape: Shape | undefined;
}

/** Stands for an optional input that is not given. */
const ABSENT: Value = { name: '', type: undefined, shape: undefined };

/** Anything that can be an operand: a value, or a number that becomes a float scalar constant. */
export type Operand = Value | number;

type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

export class GraphBuilder {
  readonly #graph: GraphProto;
  readonly #infos: Infos = new Map();
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, Value>();
  readonly #functions = new Map<string, FunctionProto>();
  #scopes: string[] = [];

  constructor(name: string) {
    this.#graph = create(GraphProtoSchema, { name });
  }

  // ---- structure

  /** Runs `build` with `name` appended to the module path of every node it adds. */
  scope<T>(name: string, build: () => T): T {
    this.#scopes.push(name);
    try {
      return build();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Runs `build` outside of every scope, for a module that lives elsewhere in the tree than where it is used. */
  outside<T>(build: () => T): T {
    const scopes = this.#scopes;
    this.#scopes = [];
    try {
      return build();
    } finally {
      this.#scopes = scopes;
    }
  }

  /** The module path of the innermost scope. */
  get path(): string {
    return this.#scopes.join('.');
  }

  input(name: string, type: DataType, shape: Shape): Value {
    this.#graph.input.push(makeValueInfo(this.#claim(name), type, shape));
    return this.#know(name, { type, shape });
  }

  /** Declares `value` as the graph output `name`, with `shape` where inference knows less. */
  output(name: string, value: Value, shape = value.shape): void {
    if (value.name !== name) this.#node('Identity', [value.name], [this.#claim(name)], {}, '', name);
    this.#graph.output.push(makeValueInfo(name, value.type ?? DataType.FLOAT, shape));
  }

  /** A stored tensor; its bytes are shared, not copied. */
  initializer(tensor: TensorProto): Value {
    this.#graph.initializer.push(tensor);
    return this.#know(this.#claim(tensor.name), tensorInfo(tensor));
  }

  /** A small constant, stored once however often it is asked for. */
  constant(data: TypedArray, shape: readonly number[], type?: DataType): Value {
    const tensor = makeTensor('', shape, data, type);
    const key = `${tensor.dataType}[${shape.join()}]${Buffer.from(tensor.rawData).toString('base64')}`;
    const existing = this.#constants.get(key);
    if (existing) return existing;
    tensor.name = `constant_${this.#constants.size}`;
    const value = this.initializer(tensor);
    this.#constants.set(key, value);
    return value;
  }

  /** A float scalar. */
  scalar(value: number): Value {
    return this.constant(Float32Array.of(value), []);
  }

  /** A vector of 64-bit integers, as shapes, axes and indices are. */
  integers(...values: number[]): Value {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** A scalar 64-bit integer. */
  integer(value: number): Value {
    return this.constant(BigInt64Array.of(BigInt(value)), []);
  }

  /** Adds a model-local function; calls to it are `call(...)`. */
  define(body: FunctionProto): void {
    this.#functions.set(`${body.domain}::${body.name}`, body);
  }

  /** A call of a model-local function or of an operator of another domain. */
  call(domain: string, name: string, inputs: readonly Operand[], attributes: Attributes = {}, outputs = 1): Value[] {
    return this.#add(name, inputs, attributes, outputs, domain);
  }

  /** Gives the result of a node a name of its own, such as the one a checkpoint has for it. */
  named(name: string, value: Value): Value {
    const node = this.#graph.node.at(-1);
    const index = node?.output.indexOf(value.name) ?? -1;
    const info = this.#infos.get(value.name);
    if (!node || index < 0 || !info) throw new Error(`${value.name} is not a result of the last node`);
    this.#infos.delete(value.name);
    node.output[index] = this.#claim(name);
    return this.#know(name, info);
  }

  /** The finished model. */
  finish(): Model {
    const graph = this.#graph;
    const domains = new Set(['', ...[...this.#functions.values()].map((body) => body.domain)]);
    const opsetImport = [...domains].map((domain) =>
      create(OperatorSetIdProtoSchema, { domain, version: BigInt(domain === '' ? OPSET : 1) }),
    );
    const functions = [...this.#functions.values()];
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'dino8',
      opsetImport,
      functions,
      graph,
    });
    return Object.assign(model, { graph });
  }

  /** The finished nodes as a model-local function whose formal parameters are this graph's inputs and outputs. */
  finishFunction(domain: string, attributes: readonly string[] = []): FunctionProto {
    const graph = this.#graph;
    return create(FunctionProtoSchema, {
      name: graph.name,
      domain,
      attribute: [...attributes],
      input: graph.input.map((info) => info.name),
      output: graph.output.map((info) => info.name),
      // A function holds no initializers: its constants are nodes.
      node: [...graph.initializer.map(constantNode), ...graph.node],
      opsetImport: [create(OperatorSetIdProtoSchema, { domain: '', version: BigInt(OPSET) })],
    });
  }

  // ---- element-wise operators, with broadcasting

  add = (a: Operand, b: Operand): Value => this.#one('Add', [a, b]);
  sub = (a: Operand, b: Operand): Value => this.#one('Sub', [a, b]);
  mul = (a: Operand, b: Operand): Value => this.#one('Mul', [a, b]);
  div = (a: Operand, b: Operand): Value => this.#one('Div', [a, b]);
  mod = (a: Operand, b: Operand): Value => this.#one('Mod', [a, b]);
  max = (a: Operand, b: Operand): Value => this.#one('Max', [a, b]);
  and = (a: Operand, b: Operand): Value => this.#one('And', [a, b]);
  or = (a: Operand, b: Operand): Value => this.#one('Or', [a, b]);
  equal = (a: Operand, b: Operand): Value => this.#one('Equal', [a, b]);
  less = (a: Operand, b: Operand): Value => this.#one('Less', [a, b]);
  lessOrEqual = (a: Operand, b: Operand): Value => this.#one('LessOrEqual', [a, b]);
  greater = (a: Operand, b: Operand): Value => this.#one('Greater', [a, b]);
  greaterOrEqual = (a: Operand, b: Operand): Value => this.#one('GreaterOrEqual', [a, b]);
  min = (a: Operand, b: Operand): Value => this.#one('Min', [a, b]);
  not = (x: Operand): Value => this.#one('Not', [x]);
  relu = (x: Operand): Value => this.#one('Relu', [x]);
  gelu = (x: Operand): Value => this.#one('Gelu', [x]);
  sigmoid = (x: Operand): Value => this.#one('Sigmoid', [x]);
  log = (x: Operand): Value => this.#one('Log', [x]);
  sin = (x: Operand): Value => this.#one('Sin', [x]);
  cos = (x: Operand): Value => this.#one('Cos', [x]);
  floor = (x: Operand): Value => this.#one('Floor', [x]);
  where = (condition: Value, a: Operand, b: Operand): Value => this.#one('Where', [condition, a, b]);
  clip = (x: Operand, low: number, high: number): Value => this.#one('Clip', [x, low, high]);
  cast = (x: Operand, to: DataType): Value => this.#one('Cast', [x], { to });

  // ---- contraction, normalisation, reduction, selection

  matmul = (a: Operand, b: Operand): Value => this.#one('MatMul', [a, b]);
  conv = (x: Value, weights: Value, bias: Value, kernel: number, stride: number, padding: number): Value =>
    this.#one('Conv', [x, weights, bias], {
      kernel_shape: [kernel, kernel],
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
    });
  softmax = (x: Value, axis = -1): Value => this.#one('Softmax', [x], { axis });
  layerNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.#one('LayerNormalization', [x, scale, bias], { axis: -1, epsilon: float(epsilon) });
  instanceNormalization = (x: Value, scale: Value, bias: Value, epsilon: number): Value =>
    this.#one('InstanceNormalization', [x, scale, bias], { epsilon: float(epsilon) });
  reduceMax = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMax', x, axes, keepdims);
  reduceMin = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceMin', x, axes, keepdims);
  reduceSum = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceSum', x, axes, keepdims);
  reduceProd = (x: Value, axes: number[], keepdims = true): Value => this.#reduce('ReduceProd', x, axes, keepdims);
  cumsum = (x: Value, axis: number): Value => this.#one('CumSum', [x, this.integer(axis)]);
  /** The `k` largest along `axis`, in descending order; of equal ones the lower index first. */
  topk(x: Value, k: Value, axis: number): { values: Value; indices: Value } {
    const [values, indices] = this.#add('TopK', [x, k], { axis }, 2, '');
    return { values: defined(values), indices: defined(indices) };
  }
  /** Linear interpolation with antialiasing that leaves out what is beyond the border, as PIL's; `sizes`: all extents. */
  resizeAntialiased = (x: Value, sizes: Value): Value =>
    this.#one('Resize', [x, ABSENT, ABSENT, sizes], { mode: 'linear', antialias: 1, exclude_outside: 1 });
  gridSample = (x: Value, grid: Value): Value =>
    this.#one('GridSample', [x, grid], { mode: 'linear', padding_mode: 'zeros', align_corners: 0 });

  // ---- movement

  /** The extents of `x` from axis `start` to before `end`, as a vector. */
  shapeOf = (x: Value, start = 0, end?: number): Value => this.#one('Shape', [x], { start, end });
  /** The extent of one axis, as a vector of one. */
  extent = (x: Value, axis: number): Value => this.shapeOf(x, axis, axis + 1);
  /** `shape`: numbers (0 keeps an extent, −1 takes the rest), or vectors that are concatenated. */
  reshape = (x: Value, shape: readonly (number | Value)[]): Value => this.#one('Reshape', [x, this.vector(shape)]);
  transpose = (x: Value, perm: number[]): Value => this.#one('Transpose', [x], { perm });
  concat = (values: readonly Value[], axis: number): Value => this.#one('Concat', values, { axis });
  /** As many parts as `sizes` says, along `axis`. */
  split(x: Value, sizes: Value, parts: number, axis: number): Value[] {
    return this.#add('Split', [x, sizes], { axis }, parts, '');
  }
  /** `parts` parts along `axis`, equal but for the last, which takes what is left over. */
  chunk(x: Value, parts: number, axis: number): Value[] {
    const total = this.extent(x, axis);
    const each = this.div(total, this.integers(parts));
    const last = this.sub(total, this.mul(each, this.integers(parts - 1)));
    const sizes = this.vector([...Array.from({ length: parts - 1 }, () => each), last]);
    return this.split(x, sizes, parts, axis);
  }
  slice = (x: Value, starts: number[], ends: (number | Value)[], axes: number[], steps = axes.map(() => 1)): Value =>
    this.#one('Slice', [
      x,
      this.integers(...starts),
      this.vector(ends),
      this.integers(...axes),
      this.integers(...steps),
    ]);
  gather = (x: Value, indices: Value, axis: number): Value => this.#one('Gather', [x, indices], { axis });
  gatherElements = (x: Value, indices: Value, axis: number): Value =>
    this.#one('GatherElements', [x, indices], { axis });
  /** Rows of each batch element: `x` [batch, n, …] at `indices` [batch, m] gives [batch, m, …]. */
  gatherRows = (x: Value, indices: Value): Value =>
    this.#one('GatherND', [x, this.unsqueeze(indices, [2])], { batch_dims: 1 });
  unsqueeze = (x: Value, axes: number[]): Value => this.#one('Unsqueeze', [x, this.integers(...axes)]);
  squeeze = (x: Value, axes: number[]): Value => this.#one('Squeeze', [x, this.integers(...axes)]);
  expand = (x: Value, shape: readonly (number | Value)[]): Value => this.#one('Expand', [x, this.vector(shape)]);
  /**
   * `fill` after the end of `axes`, as many as the vector `amounts` says. All axes are named in the node, because ONNX
   * Runtime's transpose optimizer mistakes the amounts of some for those of all.
   */
  padEnd(x: Value, amounts: Value, axes: number[], fill = 0): Value {
    const parts = this.split(amounts, this.integers(...axes.map(() => 1)), axes.length, 0);
    const rank = x.shape?.length ?? 0;
    const ends = Array.from({ length: rank }, (_, axis) => parts[axes.indexOf(axis)] ?? 0);
    return this.#one('Pad', [x, this.vector([...ends.map(() => 0), ...ends]), fill]);
  }
  /** Scalars `start`, `start + 1`, … below `limit`. */
  range = (start: Value, limit: Value, delta: Value): Value => this.#one('Range', [start, limit, delta]);

  /** One vector of 64-bit integers from numbers and vectors. */
  vector(parts: readonly (number | Value)[]): Value {
    if (parts.every((part) => typeof part === 'number')) return this.integers(...parts);
    const vectors = parts.map((part) => (typeof part === 'number' ? this.integers(part) : part));
    return vectors.length === 1 ? defined(vectors[0]) : this.concat(vectors, 0);
  }

  // ---- inside

  #reduce(type: string, x: Value, axes: number[], keepdims: boolean): Value {
    return this.#one(type, [x, this.integers(...axes)], { keepdims: keepdims ? 1 : 0 });
  }

  #one(type: string, inputs: readonly Operand[], attributes: Attributes = {}): Value {
    return defined(this.#add(type, inputs, attributes, 1, '')[0]);
  }

  #add(type: string, operands: readonly Operand[], attributes: Attributes, outputs: number, domain: string): Value[] {
    const inputs = operands.map((operand) => (typeof operand === 'number' ? this.scalar(operand) : operand).name);
    const name = this.#unique(this.path ? `${this.path}/${type}` : type);
    const results = Array.from({ length: outputs }, (_, index) =>
      this.#claim(outputs > 1 ? `${name}:${index}` : `${name}:`),
    );
    const infos = this.#node(type, inputs, results, attributes, domain, name);
    return results.map((result, index) => this.#know(result, infos[index]));
  }

  #node(opType: string, input: string[], output: string[], attributes: Attributes, domain: string, name: string) {
    const attribute = Object.entries(attributes).flatMap(([key, value]) =>
      value === undefined ? [] : [makeAttribute(key, value)],
    );
    const node = create(NodeProtoSchema, { opType, domain, name, input, output, attribute });
    this.#graph.node.push(node);
    const find: FindFunction = functionFinder([...this.#functions.values()]);
    return inferNode(node, this.#infos, find);
  }

  #know(name: string, info: TensorInfo | undefined): Value {
    if (info) this.#infos.set(name, info);
    return { name, type: info?.type, shape: info?.shape };
  }

  #claim(name: string): string {
    if (this.#names.has(name)) throw new Error(`two values are named ${name}`);
    this.#names.add(name);
    return name;
  }

  #unique(base: string): string {
    let name = base;
    for (let suffix = 1; this.#names.has(`${name}:`) || this.#names.has(`${name}:0`); suffix++)
      name = `${base}_${suffix}`;
    return name;
  }
}

function constantNode(tensor: TensorProto) {
  const { name } = tensor;
  return create(NodeProtoSchema, {
    opType: 'Constant',
    name,
    output: [name],
    attribute: [makeAttribute('value', tensor)],
  });
}

function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a node lacks an output');
  return value;
}
