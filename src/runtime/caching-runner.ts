/**
 * Runs a model in two parts, of which the first depends on some inputs alone and runs only if they are not those of a recent run
 * (`splitOffInputs` makes the parts). Results of the first part stay in ONNX Runtime's memory, where the second part reads them.
 */
import type { TensorInfo } from '../onnx/types.ts';
import { checkFeeds } from './check-feeds.ts';
import { RuntimeError } from './error.ts';
import type { ModelRunner } from './model-runner.ts';
import type { Outputs } from './outputs.ts';
import type { Feeds, Session } from './session.ts';
import { copyTensor, type Tensor, tensorData } from './tensor.ts';

/** The results of the first part for some inputs. */
interface CacheEntry {
  /** A copy of the inputs. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  readonly results: Promise<Outputs>;
  /** The number of runs that need the results. */
  runs: number;
}

/** Options of a `CachingRunner`. */
export interface CachingOptions {
  /** The names of the model's inputs, in their order; each is one of the first part, of the second or of both. */
  readonly inputs: readonly string[];
  /** The number of different inputs of the first part whose results are kept: those that were used last. */
  readonly capacity: number;
}

/** A model in two parts that keeps results of the first. It owns the sessions of both. */
export class CachingRunner implements ModelRunner {
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  readonly #first: Session;
  readonly #second: Session;
  readonly #capacity: number;
  /** The one that was used last is at the end. */
  readonly #entries: CacheEntry[] = [];
  readonly #running = new Set<Promise<unknown>>();
  #isClosed = false;

  constructor(first: Session, second: Session, { inputs, capacity }: CachingOptions) {
    this.#first = first;
    this.#second = second;
    this.#capacity = capacity;
    this.inputs = new Map(
      inputs.map((name): [string, TensorInfo] => {
        const info = second.inputs.get(name) ?? first.inputs.get(name);
        if (!info) throw new Error(`neither part of ${second.name} has the input ${name}`);
        return [name, info];
      }),
    );
  }

  /** @throws RuntimeError as `Session.run` of the undivided model does; the reason of `options.signal` if that stopped the run */
  async run(feeds: Feeds, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<Outputs> {
    options.signal?.throwIfAborted();
    const work = this.#run(feeds, options.signal);
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  /** Waits for the runs that are under way, and frees both parts and what is kept. Later runs are errors. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    for (const entry of this.#entries.splice(0)) await free(entry);
    await Promise.all([this.#first.close(), this.#second.close()]);
  }

  async #run(feeds: Feeds, signal: AbortSignal | undefined): Promise<Outputs> {
    const { name } = this.#second;
    if (this.#isClosed) throw new RuntimeError(`${name} was closed.`);
    const given = checkFeeds(name, this.inputs, feeds);
    const entry = this.#entryOf(new Map(given.filter(([key]) => this.#first.inputs.has(key))));
    try {
      const results = await entry.results;
      const others = given.filter(([key]) => this.#second.inputs.has(key));
      return await this.#second.run(Object.fromEntries(others), { from: results, signal });
    } finally {
      entry.runs--;
      if (entry.runs === 0 && !this.#entries.includes(entry)) await free(entry);
    }
  }

  /**
   * The entry of these inputs, with one more run that needs it. It becomes the one that was used last; a new one takes the place
   * of the one that was not used for longest.
   */
  #entryOf(inputs: ReadonlyMap<string, Tensor>): CacheEntry {
    const place = this.#entries.findIndex((entry) => haveSameBytes(entry.inputs, inputs));
    const [known] = place < 0 ? [] : this.#entries.splice(place, 1);
    const entry = known ?? this.#compute(inputs);
    this.#entries.push(entry);
    entry.runs++;
    if (this.#entries.length > this.#capacity) {
      const oldest = this.#entries.shift();
      if (oldest?.runs === 0) void free(oldest);
    }
    return entry;
  }

  #compute(inputs: ReadonlyMap<string, Tensor>): CacheEntry {
    const copies = new Map(Array.from(inputs, ([key, value]) => [key, copyTensor(value)]));
    const results = this.#first.run(Object.fromEntries(copies));
    const entry: CacheEntry = { inputs: copies, results, runs: 0 };
    results.catch(() => {
      const place = this.#entries.indexOf(entry);
      if (place >= 0) this.#entries.splice(place, 1);
    });
    return entry;
  }
}

/** Frees the results of an entry that no run needs. Those of a first part that failed are none. */
async function free({ results }: CacheEntry): Promise<void> {
  const [settled] = await Promise.allSettled([results]);
  if (settled.status === 'fulfilled') settled.value.dispose();
}

/** Compares types, shapes and all bytes of tensors of the same names. */
function haveSameBytes(some: ReadonlyMap<string, Tensor>, others: ReadonlyMap<string, Tensor>): boolean {
  return [...some].every(([name, value]) => {
    const other = others.get(name);
    return (
      other?.type === value.type &&
      other.shape.length === value.shape.length &&
      other.shape.every((size, axis) => size === value.shape[axis]) &&
      Buffer.compare(tensorData(other), tensorData(value)) === 0
    );
  });
}
