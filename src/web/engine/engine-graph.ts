/** A graph in the memory of the engine: what is said to it value by value and node by node, and its runs. */
import { bytesOf, viewAs } from '../../onnx/tensor.ts';
import { byteLength, DataType, elementCount } from '../../onnx/types.ts';
import type { Tensor, TensorBytes } from '../../runtime/tensor.ts';
import { EngineFailure, type EngineModule } from './engine-module.ts';

/** The types of elements that the engine has (kernels/engine/tensor.h). */
const ELEMENT_TYPES: ReadonlySet<DataType> = new Set([
  DataType.FLOAT,
  DataType.UINT8,
  DataType.INT8,
  DataType.INT32,
  DataType.INT64,
  DataType.BOOL,
]);

/** True if the engine has tensors of a type. */
export const hasElementType = (type: DataType): boolean => ELEMENT_TYPES.has(type);

/** The largest dimension: the engine is given them as numbers of 32 bits. */
const LARGEST_DIMENSION = 2 ** 31 - 1;

/** An attribute of a node: numbers, or the bytes of a text. */
export type EngineAttribute =
  | { readonly name: string; readonly integers: readonly bigint[] }
  | { readonly name: string; readonly floats: readonly number[] }
  | { readonly name: string; readonly text: Uint8Array };

/** A node, whose values have numbers. */
export interface EngineNode {
  /** '' for ONNX's own operators. */
  readonly domain: string;
  readonly type: string;
  readonly name: string;
  /** The version of the operators of its domain. */
  readonly opset: number;
  readonly attributes: readonly EngineAttribute[];
  /** The numbers of values; −1 where one is left out. */
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** Whether it computes the same as long as all inputs have the same types and sizes, and steady ones the same numbers. */
  readonly isKept: boolean;
}

/** A graph; `release` frees its memory. Every method throws EngineFailure where the engine says that something is wrong. */
export class EngineGraph {
  readonly #engine: EngineModule;
  readonly #address: number;

  /** @param values the number of values, which have the numbers from 0 */
  constructor(engine: EngineModule, values: number) {
    this.#engine = engine;
    this.#address = engine.call('dino8_graph_create', values);
    if (this.#address === 0) throw new EngineFailure(`it has ${values} values, which are too many`);
  }

  /** Declares that runs are given a value. @param isSteady whether it is the same in most of them */
  addInput(value: number, isSteady: boolean): void {
    this.#check(this.#engine.call('dino8_graph_input', this.#address, value, Number(isSteady)));
  }

  /** Declares that runs give out a value. */
  addOutput(value: number): void {
    this.#check(this.#engine.call('dino8_graph_output', this.#address, value));
  }

  /** Copies a constant into the memory of the engine. */
  addConstant(value: number, constant: TensorBytes): void {
    this.#fill(constant, 'dino8_graph_constant', value);
  }

  /** Adds a node behind those whose results it reads. */
  addNode({ domain, type, name, opset, attributes, inputs, outputs, isKept }: EngineNode): void {
    const engine = this.#engine;
    this.#engine.call('dino8_node_begin', this.#address, opset, Number(isKept));
    this.#engine.call('dino8_node_domain', this.#address, ...engine.placeText(domain));
    this.#engine.call('dino8_node_type', this.#address, ...engine.placeText(type));
    this.#engine.call('dino8_node_name', this.#address, ...engine.placeText(name));
    for (const value of inputs) this.#engine.call('dino8_node_input', this.#address, value);
    for (const value of outputs) this.#engine.call('dino8_node_output', this.#address, value);
    for (const attribute of attributes) {
      this.#engine.call('dino8_attribute', this.#address, ...engine.placeText(attribute.name));
      if ('text' in attribute)
        this.#engine.call('dino8_attribute_text', this.#address, engine.place(attribute.text), attribute.text.length);
      else if ('floats' in attribute)
        for (const number of attribute.floats) this.#engine.call('dino8_attribute_float', this.#address, number);
      else for (const number of attribute.integers) this.#engine.call('dino8_attribute_integer', this.#address, number);
    }
    this.#check(this.#engine.call('dino8_node_end', this.#address));
  }

  /** Computes what depends on constants alone. Nothing can be added afterwards. */
  finish(): void {
    this.#check(this.#engine.call('dino8_graph_finish', this.#address));
  }

  /** The number of nodes that a run computes. */
  get nodeCount(): number {
    return this.#engine.call('dino8_graph_nodes', this.#address);
  }

  /** The name and the operator of a node that a run computes. */
  describeNode(index: number): readonly [name: string, type: string] {
    const name = this.#engine.call('dino8_node_name_of', this.#address, index);
    const type = this.#engine.call('dino8_node_type_of', this.#address, index);
    if (name === 0 || type === 0) throw new EngineFailure(`it has no node ${index}`);
    return [this.#engine.text(name), this.#engine.text(type)];
  }

  /** Copies an input of the next run into the memory of the engine. */
  setInput(value: number, { type, shape, data }: Tensor): void {
    this.#fill({ type, shape, bytes: bytesOf(data) }, 'dino8_run_input', value);
  }

  /** Runs the nodes from `begin` to before `end`; a run is all of them in order. */
  run(begin: number, end: number): void {
    this.#check(this.#engine.call('dino8_run', this.#address, begin, end));
  }

  /** A copy of an output after a run. */
  result(value: number): Tensor {
    const type: DataType = this.#engine.call('dino8_result_element', this.#address, value);
    if (!hasElementType(type)) throw new EngineFailure('an output has no value');
    const rank = this.#engine.call('dino8_result_rank', this.#address, value);
    // A dimension of 2³¹ is negative as a number of 32 bits.
    const shape = Array.from(
      { length: rank },
      (_, axis) => this.#engine.call('dino8_result_dimension', this.#address, value, axis) >>> 0,
    );
    const bytes = byteLength(type, elementCount(shape)) ?? 0;
    const address = this.#engine.call('dino8_result_data', this.#address, value);
    return { type, shape, data: viewAs(type, this.#engine.view(address, bytes).slice()) };
  }

  /** Releases the values of a run. */
  endRun(): void {
    this.#engine.call('dino8_end_run', this.#address);
  }

  /** Frees the memory of the graph, which cannot be used afterwards. */
  release(): void {
    this.#engine.call('dino8_graph_release', this.#address);
  }

  #check(result: number): void {
    if (result === 0)
      throw new EngineFailure(this.#engine.text(this.#engine.call('dino8_graph_problem', this.#address)));
  }

  /** Has the engine make a tensor, and copies its elements there. */
  #fill({ type, shape, bytes }: TensorBytes, make: 'dino8_graph_constant' | 'dino8_run_input', value: number): void {
    if (!hasElementType(type))
      throw new EngineFailure(`a tensor has the type ${DataType[type] ?? type}, which the engine lacks`);
    if (byteLength(type, elementCount(shape)) !== bytes.length || shape.some((size) => size > LARGEST_DIMENSION))
      throw new EngineFailure(
        `a tensor of shape [${shape.join(', ')}] is too large, or has another number of elements`,
      );
    const dims = this.#engine.place(bytesOf(Int32Array.from(shape)));
    const address = this.#engine.call(make, this.#address, value, type, dims, shape.length);
    this.#check(address);
    this.#engine.view(address, bytes.length).set(bytes);
  }
}
