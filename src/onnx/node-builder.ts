/**
 * The structure of a graph under construction: scopes, names, constants, functions, and the inferred type and shape of every
 * value. The name of a node is the path of the module it belongs to. The methods for operators are in builder.ts.
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

/**
 * The operator set and the file format that dino8 writes. They include LayerNormalization, Gelu and 4-bit types, and ONNX
 * Runtime reads them since 1.18.
 */
const OPSET = 21;
const IR_VERSION = 10n;

/** A value of the graph under construction. */
export interface Value {
  /** The unique name of the value in the graph. */
  readonly name: string;
  /** The element type; undefined if inference does not know it. */
  readonly type: DataType | undefined;
  /** The shape; undefined if not even the rank is known. */
  readonly shape: Shape | undefined;
  /** The elements of a small integer tensor; those that are not known are undefined. */
  readonly values?: readonly Dimension[] | undefined;
}

/** The placeholder for an optional input that is not given. */
export const ABSENT: Value = { name: '', type: undefined, shape: undefined };

/** An input of an operator: a value, or a number that becomes a float scalar constant. */
export type Operand = Value | number;

/** The attributes of a node by name; those that are undefined are left out. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

const importOf = (domain: string) =>
  create(OperatorSetIdProtoSchema, { domain, version: BigInt(domain === '' ? OPSET : 1) });

/**
 * The base of `GraphBuilder`: everything but the methods for operators.
 * @example
 * const b: NodeBuilder = new GraphBuilder('example');
 * const mean = b.constant(Float32Array.of(0.5), [1]);
 */
export class NodeBuilder {
  readonly #graph: GraphProto;
  readonly #infos: Infos = new Map();
  readonly #names = new Set<string>();
  readonly #constants = new Map<string, Value>();
  readonly #functions = new Map<string, FunctionProto>();
  #scopes: string[] = [];
  #metadata: Model['metadataProps'] = [];
  #imports: Model['opsetImport'] = [];

  /**
   * Starts a graph.
   * @param base a model that the new graph continues; the model itself is not changed
   */
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

  /** Runs `build`; the nodes that it adds have `name` appended to their module path. */
  scope<T>(name: string, build: () => T): T {
    this.#scopes.push(name);
    try {
      return build();
    } finally {
      this.#scopes.pop();
    }
  }

  /** Runs `build` outside of every scope, for a module that is not part of the module that uses it. */
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

  /** Declares a graph input. @throws Error if the name is taken */
  input(name: string, type: DataType, shape: Shape): Value {
    this.#graph.input.push(makeValueInfo(this.#claim(name), type, shape));
    return this.#know(name, { type, shape });
  }

  /** Declares `value` as the graph output `name`. `shape` may state more than inference knows. */
  output(name: string, value: Value, shape = value.shape): void {
    if (value.name !== name) this.#node('Identity', [value.name], [this.#claim(name)], {}, '', name);
    this.#graph.output.push(makeValueInfo(name, value.type ?? DataType.FLOAT, shape));
  }

  /** The value of that name. @throws Error if there is none */
  value(name: string): Value {
    if (!this.#names.has(name)) throw new Error(`${this.#graph.name} has no value ${name}`);
    return this.#know(name, this.#infos.get(name));
  }

  /** States the type and the shape of a value, where the caller knows more than inference does. */
  assume(value: Value, { type, shape }: Pick<TensorInfo, 'shape'> & { type: DataType | undefined }): Value {
    if (type === undefined) return value;
    const known = this.#infos.get(value.name);
    const merged = shape?.map((dimension, axis) => known?.shape?.[axis] ?? dimension) ?? known?.shape;
    return this.#know(value.name, { type, shape: merged, values: known?.values });
  }

  /** Adds nodes of another graph or function as they are, under their own names. */
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

  /** Adds a stored tensor. Its bytes are shared, not copied. @throws Error if the name is taken */
  initializer(tensor: TensorProto): Value {
    this.#graph.initializer.push(tensor);
    return this.#know(this.#claim(tensor.name), tensorInfo(tensor));
  }

  /** A small constant; equal constants are stored once. */
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

  /** A constant float scalar. */
  scalar(value: number): Value {
    return this.constant(Float32Array.of(value), []);
  }

  /** A constant vector of 64-bit integers, the type of shapes, axes and indices. */
  integers(...values: number[]): Value {
    return this.constant(BigInt64Array.from(values, BigInt), [values.length]);
  }

  /** A constant scalar 64-bit integer. */
  integer(value: number): Value {
    return this.constant(BigInt64Array.of(BigInt(value)), []);
  }

  /** Adds a model-local function, to be called by `call`. */
  define(body: FunctionProto): void {
    this.#functions.set(`${body.domain}::${body.name}`, body);
  }

  /**
   * Calls a model-local function, or an operator of another domain.
   * @param outputs the number of results
   */
  call(domain: string, name: string, inputs: readonly Operand[], attributes: Attributes = {}, outputs = 1): Value[] {
    return this.addNode(name, inputs, attributes, outputs, domain);
  }

  /**
   * Renames a result of the last node, for example to the name that a checkpoint has for it.
   * @throws Error if `value` is not such a result, or if the name is taken
   */
  named(name: string, value: Value): Value {
    const node = this.#graph.node.at(-1);
    const index = node?.output.indexOf(value.name) ?? -1;
    const info = this.#infos.get(value.name);
    if (!node || index < 0 || !info) throw new Error(`${value.name} is not a result of the last node`);
    this.#infos.delete(value.name);
    node.output[index] = this.#claim(name);
    return this.#know(name, info);
  }

  /** Returns the finished model, which shares its tensors and nodes with the builder. */
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

  /**
   * Returns the graph as a model-local function whose formal parameters are the graph's inputs and outputs.
   * @param attributes the names of the attributes that the function takes
   */
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

  /** Adds a node with one result. */
  protected one(type: string, inputs: readonly Operand[], attributes: Attributes = {}): Value {
    return defined(this.addNode(type, inputs, attributes, 1, '')[0]);
  }

  /** Adds a node in the current scope, with as many results as `outputs` says. */
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

/**
 * Returns the value itself.
 * @throws Error if it is undefined: a defect, since every node has the outputs it was made with
 * @example
 * const [first] = node.output;
 * const name = defined(first);
 */
export function defined<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('a node lacks an output');
  return value;
}
