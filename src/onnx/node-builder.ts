/**
 * The graph under construction: scopes, names, constants, functions, and what shape inference knows of every value.
 * The name of a node is the path of the module it belongs to. Operators are in builder.ts.
 */
import { create } from '@bufbuild/protobuf';
import {
  FunctionProtoSchema,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
} from 'onnx-buf';
import { type AttributeValue, makeAttribute } from './attributes.ts';
import { type Infos, inferNode, inferShapes, tensorInfo } from './infer/infer.ts';
import type { Model } from './read.ts';
import { makeNode } from './rewrite.ts';
import { makeTensor, type TypedArray } from './tensor.ts';
import {
  DataType,
  type Dimension,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type Shape,
  type TensorInfo,
  type TensorProto,
} from './types.ts';
import { makeValueInfo } from './value-info.ts';

/** The operator set and file format that dino8 writes: LayerNormalization, Gelu, 4-bit types, readable since ONNX Runtime 1.18. */
const OPSET = 21;
const IR_VERSION = 10n;

/** A value of the graph under construction. */
export interface Value {
  readonly name: string;
  readonly type: DataType | undefined;
  readonly shape: Shape | undefined;
  /** The elements of a small integer tensor, as far as they are known. */
  readonly values?: readonly Dimension[] | undefined;
}

/** Stands for an optional input that is not given. */
export const ABSENT: Value = { name: '', type: undefined, shape: undefined };

/** Anything that can be an operand: a value, or a number that becomes a float scalar constant. */
export type Operand = Value | number;

export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

const importOf = (domain: string) =>
  create(OperatorSetIdProtoSchema, { domain, version: BigInt(domain === '' ? OPSET : 1) });

export class NodeBuilder {
  readonly #graph: GraphProto;
  readonly #infos: Infos = new Map();
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, Value>();
  readonly #functions = new Map<string, FunctionProto>();
  #scopes: string[] = [];
  #metadata: Model['metadataProps'] = [];
  #imports: Model['opsetImport'] = [];

  /** A new graph named `name`; or, given `base`, that model to be built on, which stays as it is. */
  constructor(name: string, base?: Model) {
    this.#graph = create(GraphProtoSchema, { name });
    if (base) this.#continue(base);
  }

  #continue(base: Model): void {
    const { node, initializer, input, output } = base.graph;
    Object.assign(this.#graph, { node: [...node], initializer: [...initializer], input: [...input] });
    this.#graph.output = [...output];
    for (const [name, info] of inferShapes(base)) this.#infos.set(name, info);
    const made = [
      ...node.flatMap((made) => made.output),
      ...[...initializer, ...input, ...output].map(({ name }) => name),
    ];
    for (const name of made) this.#names.add(name);
    for (const body of base.functions) this.define(body);
    this.#metadata = base.metadataProps;
    this.#imports = base.opsetImport;
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

  /** The value of that name, which must exist. */
  value(name: string): Value {
    if (!this.#names.has(name)) throw new Error(`${this.#graph.name} has no value ${name}`);
    return this.#know(name, this.#infos.get(name));
  }

  /** States the type and shape of a value of which inference may know less. */
  assume(value: Value, { type, shape }: Pick<TensorInfo, 'shape'> & { type: DataType | undefined }): Value {
    if (type === undefined) return value;
    const known = this.#infos.get(value.name);
    const merged = shape?.map((extent, axis) => known?.shape?.[axis] ?? extent) ?? known?.shape;
    return this.#know(value.name, { type, shape: merged, values: known?.values });
  }

  /** Adds nodes of another graph or function as they are, with the names that they have. */
  addNodes(nodes: readonly NodeProto[]): void {
    for (const node of nodes) {
      this.#graph.node.push(node);
      const infos = inferNode(node, this.#infos, (...key) => this.#functions.get(key.join('::')));
      for (const [index, name] of node.output.entries()) if (name) this.#know(this.#claim(name), infos[index]);
    }
  }

  /** The model-local function of that name, if it is defined. */
  definition(domain: string, name: string): FunctionProto | undefined {
    return this.#functions.get(`${domain}::${name}`);
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
    let number = this.#constants.size;
    while (this.#names.has(`constant_${number}`)) number++;
    tensor.name = `constant_${number}`;
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
    return this.addNode(name, inputs, attributes, outputs, domain);
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
    const imported = new Set(this.#imports.map(({ domain }) => domain));
    const domains = new Set(['', ...[...this.#functions.values()].map((body) => body.domain)]);
    const added = [...domains].filter((domain) => !imported.has(domain)).map(importOf);
    const opsetImport = [...this.#imports, ...added];
    const functions = [...this.#functions.values()];
    const model = create(ModelProtoSchema, {
      irVersion: IR_VERSION,
      producerName: 'dino8',
      opsetImport,
      functions,
      metadataProps: this.#metadata,
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
      node: [
        ...graph.initializer.map((tensor) => makeNode('Constant', tensor.name, [], [tensor.name], { value: tensor })),
        ...graph.node,
      ],
      opsetImport: [...new Set(['', ...graph.node.map((node) => node.domain)])].map(importOf),
    });
  }

  // ---- nodes

  /** A node with one result. */
  protected one(type: string, inputs: readonly Operand[], attributes: Attributes = {}): Value {
    return defined(this.addNode(type, inputs, attributes, 1, '')[0]);
  }

  /** Adds a node in the current scope, with a result for each of `outputs`. */
  protected addNode(
    type: string,
    operands: readonly Operand[],
    attributes: Attributes,
    outputs: number,
    domain: string,
  ): Value[] {
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
    return inferNode(node, this.#infos, (...key) => this.#functions.get(key.join('::')));
  }

  #know(name: string, info: TensorInfo | undefined): Value {
    if (info) this.#infos.set(name, info);
    return { name, type: info?.type, shape: info?.shape, values: info?.values };
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

export function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a node lacks an output');
  return value;
}
