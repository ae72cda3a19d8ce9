/**
 * The results of a run, as views of ONNX Runtime's memory. They live until `dispose()` or the end of a `using` block.
 * After that their arrays are empty, so that freed memory is never read. The garbage collector frees forgotten outputs.
 */
import { detach } from './detach.ts';
import { RuntimeError } from './error.ts';
import type { Pointer } from './native.ts';
import { releaseValues, viewTensor } from './native-value.ts';
import type { Tensor } from './tensor.ts';

const forgotten = new FinalizationRegistry<Pointer[]>(releaseValues);

/**
 * The results of a run, by the names of the outputs. A result becomes an array when it is asked for.
 * @example
 * using outputs = await session.run(feeds);
 * const scores = floatData(outputs.get('scores')).slice(); // a copy outlives the outputs
 */
export class Outputs implements Disposable {
  readonly #values: ReadonlyMap<string, Pointer>;
  readonly #tensors = new Map<string, Tensor>();
  readonly #memory: ArrayBuffer[] = [];
  /** Shared with the registry, which frees the values that are still in it. */
  readonly #held: Pointer[];

  /** Takes over the values: they are released with the outputs. */
  constructor(values: ReadonlyMap<string, Pointer>) {
    this.#values = values;
    this.#held = [...values.values()];
    forgotten.register(this, this.#held, this);
  }

  /**
   * Returns a result as a view of ONNX Runtime's memory; `copyTensor` makes one that outlives the outputs.
   * @throws RuntimeError if the run has no output of that name, or if the outputs were freed
   */
  get(name: string): Tensor {
    const known = this.#tensors.get(name);
    if (known) return known;
    const { tensor, memory } = viewTensor(name, this.handle(name));
    this.#tensors.set(name, tensor);
    this.#memory.push(memory);
    return tensor;
  }

  /** The names of the outputs, in the order in which the run was asked for them. */
  get names(): string[] {
    return [...this.#values.keys()];
  }

  /** Returns whether the run computed an output of that name. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /**
   * Returns a result as ONNX Runtime holds it, for another run to take.
   * @throws RuntimeError if the run has no output of that name, or if the outputs were freed
   */
  handle(name: string): Pointer {
    const value = this.#values.get(name);
    if (value === undefined)
      throw new RuntimeError(`The run has no output ${name}; it has ${[...this.#values.keys()].join(', ')}.`);
    if (this.#held.length === 0) throw new RuntimeError(`The output ${name} was freed.`);
    return value;
  }

  /** Frees the memory and empties every array that was a view of it. */
  dispose(): void {
    forgotten.unregister(this);
    for (const buffer of this.#memory.splice(0)) detach(buffer);
    releaseValues(this.#held);
  }

  /** Does what `dispose` does, at the end of a `using` block. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
