/** A model that onnxruntime-web has loaded, as `ModelRunner`. */
import type { InferenceSession, Tensor as RuntimeTensor } from 'onnxruntime-web';
import { isOutOfMemory, MemoryError, messageOf } from '../base/errors.ts';
import type { TypedArray } from '../onnx/tensor.ts';
import { DataType, type TensorInfo } from '../onnx/types.ts';
import { RuntimeError } from '../runtime/error.ts';
import type { ModelRunner, RunResults } from '../runtime/model-runner.ts';
import type { Feeds } from '../runtime/session.ts';
import { describeTensor, type Tensor } from '../runtime/tensor.ts';
import type { Backend } from './manifest.ts';
import type { OnnxRuntimeWeb } from './onnx-runtime.ts';

/** The names that onnxruntime-web has for the types of the tensors of a detector. */
const TYPE_NAMES = {
  [DataType.FLOAT]: 'float32',
  [DataType.INT64]: 'int64',
  [DataType.BOOL]: 'bool',
  [DataType.UINT8]: 'uint8',
} as const;

const TYPES: ReadonlyMap<string, DataType> = new Map(
  Object.entries(TYPE_NAMES).map(([type, name]) => [name, Number(type)]),
);

/** A model in a browser. Its runs happen one after the other, on the thread that the page gives it. */
export class WebSession implements ModelRunner {
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  readonly #session: InferenceSession;
  readonly #runtime: OnnxRuntimeWeb;
  readonly #name: string;
  #last: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  private constructor(session: InferenceSession, runtime: OnnxRuntimeWeb, name: string) {
    this.#session = session;
    this.#runtime = runtime;
    this.#name = name;
    this.inputs = new Map(
      session.inputMetadata.map((each) => [
        each.name,
        {
          type: (each.isTensor && TYPES.get(each.type)) || DataType.UNDEFINED,
          shape: each.isTensor ? each.shape : undefined,
        },
      ]),
    );
  }

  /** @throws RuntimeError if the model does not load; MemoryError if there is too little memory for it */
  static async create(runtime: OnnxRuntimeWeb, model: Uint8Array, backend: Backend, name: string): Promise<WebSession> {
    try {
      const session = await runtime.InferenceSession.create(model, {
        executionProviders: [backend],
        // The model was optimized when it was exported, so that a page does not have to.
        graphOptimizationLevel: backend === 'wasm' ? 'disabled' : 'all',
        // Errors only: it warns that sizes are computed by the processor.
        logSeverityLevel: 3,
      });
      return new WebSession(session, runtime, name);
    } catch (error) {
      throw failure(`${name} does not load`, error);
    }
  }

  async run(feeds: Feeds, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<RunResults> {
    // A session of onnxruntime-web refuses a second run while one is under way.
    const before = this.#last;
    const work = (async () => {
      await before.catch(() => {});
      signal?.throwIfAborted();
      return this.#run(feeds);
    })();
    this.#last = work;
    return work;
  }

  async #run(feeds: Feeds): Promise<RunResults> {
    if (this.#isClosed) throw new RuntimeError(`${this.#name} was closed.`);
    const given = Object.entries(feeds);
    try {
      const inputs = given.map(([name, value]) => [name, this.#runtimeTensor(value)] as const);
      return new WebResults(await this.#session.run(Object.fromEntries(inputs)));
    } catch (error) {
      const described = given.map(([name, value]) => `${name} ${describeTensor(value)}`).join(', ');
      throw failure(`${this.#name} failed on ${described}`, error);
    }
  }

  #runtimeTensor({ type, shape, data }: Tensor): RuntimeTensor {
    const name = TYPE_NAMES[type as keyof typeof TYPE_NAMES]; // others are undefined
    if (!name) throw new RuntimeError(`A tensor of the type ${DataType[type]} is no input of a detector.`);
    // The class has a constructor for each type, which a type that is a union does not choose from.
    return new this.#runtime.Tensor(name, data as never, shape);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#last.catch(() => {});
    await this.#session.release();
  }
}

/** The results of a run, whose memory the browser's garbage collector frees. */
class WebResults implements RunResults {
  readonly #values: Readonly<Record<string, RuntimeTensor>>;

  constructor(values: Readonly<Record<string, RuntimeTensor>>) {
    this.#values = values;
  }

  get names(): string[] {
    return Object.keys(this.#values);
  }

  get(name: string): Tensor {
    const value = this.#values[name];
    const type = value && TYPES.get(value.type);
    if (!value || type === undefined)
      throw new RuntimeError(`The run has no output ${name}; it has ${this.names.join(', ')}.`);
    return { type, shape: value.dims, data: value.data as TypedArray }; // of a type of the table
  }

  dispose(): void {
    for (const value of Object.values(this.#values)) value.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** What onnxruntime-web threw, as an error of dino8. It throws bare numbers where C++ ran out of memory. */
function failure(context: string, error: unknown): Error {
  if (error instanceof RuntimeError) return error;
  const reason = messageOf(error).replace(/\.$/, '');
  if (isOutOfMemory(error) || typeof error === 'number' || /^\d+$/.test(reason) || /\bOOM\b/.test(reason))
    return new MemoryError(
      `${context}, because the browser gave too little memory (${reason}); close other tabs, or use a model for a smaller size of pictures, or one in 8 bits.`,
      { cause: error },
    );
  return new RuntimeError(`${context}: ${reason}.`, { cause: error });
}
