/**
 * The tensors of a checkpoint as values of a graph, with all mismatches collected for one message. In a graph that is trained
 * they are inputs; otherwise they are stored in the graph.
 */

import { InputError } from '../../base/errors.ts';
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import { makeTensor, viewAs } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import type { Checkpoint } from '../checkpoint/checkpoint.ts';
import type { Parameter } from '../training-family.ts';

/** The tensors of a checkpoint are not those of its configuration. The message lists them, or as many as a sentence can. */
export class MisfitError extends InputError {
  /** The shapes that the configuration asks for where the checkpoint has others. */
  readonly wanted: ReadonlyMap<string, readonly number[]>;

  constructor(message: string, wanted: ReadonlyMap<string, readonly number[]>) {
    super(message);
    this.wanted = wanted;
  }
}

/** Gives the tensors of a checkpoint to the builder of a graph. */
export class Weights {
  readonly #builder: GraphBuilder;
  readonly #checkpoint: Checkpoint;
  readonly #parameters: Map<string, Parameter> | undefined;
  readonly #values = new Map<string, Value>();
  readonly #missing: string[] = [];
  readonly #misshaped: string[] = [];
  readonly #wanted = new Map<string, readonly number[]>();
  readonly #shapes = new Map<string, readonly number[]>();

  /** `parameters`: a map for a graph that is trained; tensors become inputs of the graph and are added to the map by their names. */
  constructor(builder: GraphBuilder, checkpoint: Checkpoint, parameters?: Map<string, Parameter>) {
    this.#builder = builder;
    this.#checkpoint = checkpoint;
    this.#parameters = parameters;
  }

  /**
   * Returns the tensor `name`, which must have the shape `shape`, as float32. Each tensor is stored once. For a tensor that is
   * missing or has another shape, an empty tensor is returned, and `check` reports it.
   */
  get(name: string, shape: readonly number[]): Value {
    const known = this.#values.get(name);
    if (known) return known;
    const value = this.#load(name, shape);
    this.#values.set(name, value);
    return value;
  }

  /** Returns a matrix [out, in] of the checkpoint transposed to [in, out], the layout that MatMul takes. */
  transposed(name: string, shape: readonly [number, number]): Value {
    const known = this.#values.get(`${name}ᵀ`);
    if (known) return known;
    const value = this.#builder.named(name, this.#builder.transpose(this.#load(name, shape, `${name}ᵀ`), [1, 0]));
    this.#values.set(`${name}ᵀ`, value);
    return value;
  }

  /** The shape of every tensor that was asked for. */
  get shapes(): ReadonlyMap<string, readonly number[]> {
    return this.#shapes;
  }

  #load(name: string, shape: readonly number[], as = name): Value {
    this.#shapes.set(name, shape);
    const stored = this.#checkpoint.get(name);
    if (!stored) this.#missing.push(name);
    else if (stored.shape.join() !== shape.join()) {
      this.#misshaped.push(`${name} is [${stored.shape.join(', ')}] instead of [${shape.join(', ')}]`);
      this.#wanted.set(name, shape);
    } else if (this.#parameters) {
      if (this.#parameters.has(name)) throw new Error(`${name} is used as it is and transposed`);
      this.#parameters.set(name, { input: as, shape });
      return this.#builder.input(as, DataType.FLOAT, shape);
    } else {
      const tensor = makeTensor(as, shape, viewAs(stored.type, stored.bytes), stored.type);
      const value = this.#builder.initializer(tensor);
      return stored.type === DataType.FLOAT ? value : this.#builder.cast(value, DataType.FLOAT);
    }
    const absent = makeTensor(as, [0], new Float32Array(0));
    absent.dims = shape.map(BigInt);
    return this.#builder.initializer(absent);
  }

  /**
   * Reports mismatches once the graph is built.
   *
   * @throws MisfitError that lists the tensors that are missing, have another shape, or are not part of the network
   */
  check(source: string): void {
    if (this.#missing.length + this.#misshaped.length === 0) return;
    const used = new Set(this.#values.keys());
    const unexpected = [...this.#checkpoint.keys()].filter((name) => !used.has(name) && !used.has(`${name}ᵀ`));
    const parts = [
      list(this.#missing, 'missing'),
      list(this.#misshaped, 'of another shape'),
      list(unexpected, 'unexpected'),
    ];
    throw new MisfitError(`${source} does not fit its config.json: ${parts.filter(Boolean).join('; ')}.`, this.#wanted);
  }
}

function list(names: readonly string[], what: string): string {
  return names.length === 0 ? '' : `${names.length} ${what} (${names.join(', ')})`;
}
