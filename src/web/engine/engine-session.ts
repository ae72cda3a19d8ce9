/** A model that the engine has loaded, as `ModelRunner`. */
import { isOutOfMemory, MemoryError, messageOf } from '../../base/errors.ts';
import { parseModel } from '../../onnx/parse.ts';
import { byteLength, elementCount, type TensorInfo } from '../../onnx/types.ts';
import { checkFeeds } from '../../runtime/check-feeds.ts';
import { RuntimeError } from '../../runtime/error.ts';
import type { ModelRunner, RunResults } from '../../runtime/model-runner.ts';
import type { Feeds } from '../../runtime/session.ts';
import { describeTensor, type Tensor } from '../../runtime/tensor.ts';
import { EngineFailure, type EngineModule } from './engine-module.ts';
import { type LoadedGraph, loadGraph } from './load-graph.ts';

/** The nodes that run before a signal is looked at. */
const NODES_AT_ONCE = 64;

/** The time of a node of a model. */
type NodeTime = readonly [name: string, type: string, milliseconds: number];

/** A model in the engine. Its runs happen one after the other, on the thread that calls them. */
export class EngineSession implements ModelRunner {
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  readonly #loaded: LoadedGraph;
  readonly #name: string;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(loaded: LoadedGraph, name: string) {
    this.#loaded = loaded;
    this.#name = name;
    this.inputs = new Map([...loaded.inputs].map(([key, { info }]) => [key, info]));
  }

  /**
   * Loads a model.
   *
   * @param model the bytes of an ONNX file
   * @param name how errors name the model
   * @param steadyInputs names of inputs that are the same in most runs: what depends on them alone is computed again only if they change
   * @throws RuntimeError if the engine lacks an operator or the model does not load; InputError if the file is damaged; MemoryError if
   * there is too little memory
   * @example
   * const session = await EngineSession.create(engine, model, 'the model');
   * using results = await session.run({ x: floats(new Float32Array(3), [1, 3]) });
   */
  static async create(
    engine: EngineModule,
    model: Uint8Array,
    name: string,
    steadyInputs: readonly string[] = [],
  ): Promise<EngineSession> {
    try {
      return new EngineSession(loadGraph(engine, parseModel(model, name), name, steadyInputs), name);
    } catch (error) {
      throw failure(`${name} does not load`, error);
    }
  }

  async run(feeds: Feeds, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<RunResults> {
    return this.#after(async () => {
      signal?.throwIfAborted();
      const { graph, outputs } = this.#loaded;
      return this.#withInputs(feeds, async () => {
        const nodes = graph.nodeCount;
        const step = signal ? NODES_AT_ONCE : nodes;
        for (let begin = 0; begin < nodes; begin += step) {
          if (begin > 0) await nextTask();
          signal?.throwIfAborted();
          graph.run(begin, Math.min(begin + step, nodes));
        }
        return new EngineResults(new Map([...outputs].map(([key, value]) => [key, graph.result(value)])));
      });
    });
  }

  /**
   * Times the nodes. Those whose results are kept from run to run take no time but in the first run.
   * @param runs of so many runs the least time of each node is taken
   */
  async profile(feeds: Feeds, runs = 5): Promise<NodeTime[]> {
    return this.#after(async () => {
      const { graph } = this.#loaded;
      const times = new Float64Array(graph.nodeCount).fill(Number.POSITIVE_INFINITY);
      for (let run = 0; run < runs; run++)
        await this.#withInputs(feeds, async () => {
          for (const [index, least] of times.entries()) {
            const start = performance.now();
            graph.run(index, index + 1);
            times[index] = Math.min(least, performance.now() - start);
          }
        });
      return Array.from(times, (time, index): NodeTime => [...graph.describeNode(index), time]);
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#last.catch(() => {});
    release(() => this.#loaded.graph.release());
  }

  /** Does work after that which was asked for before. */
  #after<Result>(work: () => Promise<Result>): Promise<Result> {
    const before = this.#last;
    const done = (async () => {
      await before.catch(() => {});
      if (this.#isClosed) throw new RuntimeError(`${this.#name} was closed.`);
      return work();
    })();
    this.#last = done;
    return done;
  }

  /** Sets the inputs of a run, and frees what is left of it. */
  async #withInputs<Result>(feeds: Feeds, work: () => Promise<Result>): Promise<Result> {
    const given = this.#checkFeeds(feeds);
    const { graph, inputs } = this.#loaded;
    try {
      for (const [key, value] of given) graph.setInput(inputs.get(key)?.value ?? -1, value);
      return await work();
    } catch (error) {
      const described = given.map(([key, value]) => `${key} ${describeTensor(value)}`).join(', ');
      throw failure(`${this.#name} failed on ${described}`, error);
    } finally {
      release(() => graph.endRun());
    }
  }

  /** @throws RuntimeError for inputs that are missing, unknown, or of another type, shape or length than the model's */
  #checkFeeds(feeds: Feeds): [string, Tensor][] {
    const given = checkFeeds(this.#name, this.inputs, feeds);
    for (const [key, value] of given)
      if (byteLength(value.type, elementCount(value.shape)) !== value.data.byteLength)
        throw new RuntimeError(
          `${this.#name} was given ${key} as ${describeTensor(value)} with ${value.data.length} elements.`,
        );
    return given;
  }
}

/** Results that were copied out of the engine, whose memory the garbage collector frees. */
class EngineResults implements RunResults {
  readonly #values: ReadonlyMap<string, Tensor>;

  constructor(values: ReadonlyMap<string, Tensor>) {
    this.#values = values;
  }

  get names(): string[] {
    return [...this.#values.keys()];
  }

  get(name: string): Tensor {
    const value = this.#values.get(name);
    if (!value) throw new RuntimeError(`The run has no output ${name}; it has ${this.names.join(', ')}.`);
    return value;
  }

  dispose(): void {}

  [Symbol.dispose](): void {}
}

/** What is used of the channels between threads, whose types in Node.js are others than in browsers. */
interface ChannelScope {
  readonly MessageChannel: new () => {
    readonly port1: { onmessage: ((event: unknown) => void) | null; close(): void };
    readonly port2: { postMessage(message: unknown): void };
  };
}
const { MessageChannel } = globalThis as unknown as ChannelScope; // both have them

/** Lets other tasks of the thread run, such as one that aborts a signal. A timer would wait for some milliseconds. */
async function nextTask(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  await new Promise((resolve) => {
    port1.onmessage = resolve;
    port2.postMessage(undefined);
  });
  port1.close();
}

/** Frees memory of the engine, which one that has stopped does not. */
function release(free: () => void): void {
  try {
    free();
  } catch (error) {
    if (!(error instanceof EngineFailure)) throw error;
  }
}

/** What went wrong in the engine, as an error of dino8. */
function failure(context: string, error: unknown): unknown {
  if (error instanceof EngineFailure ? error.isOutOfMemory : isOutOfMemory(error))
    return new MemoryError(
      `${context}, because there is too little memory (${messageOf(error)}); close other tabs, or use a model for a smaller size of pictures.`,
      { cause: error },
    );
  return error instanceof EngineFailure ? new RuntimeError(`${context}: ${error.message}.`, { cause: error }) : error;
}
