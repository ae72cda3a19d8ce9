/** A loaded model that runs. Runs happen off the main thread; inputs and outputs are shared with ONNX Runtime, not copied. */
import { access, constants, stat } from 'node:fs/promises';
import { z } from 'zod';
import {
  abortSignal,
  checkOptions,
  checkValue,
  either,
  listOf,
  type OptionSchemas,
  objectWith,
  optional,
  text,
} from '../base/check-options.ts';
import { InputError } from '../base/errors.ts';
import { fileError, irregularFile } from '../base/files.ts';
import type { Model } from '../onnx/read.ts';
import { checkFeeds } from './check-feeds.ts';
import { RuntimeError } from './error.ts';
import { mapWeights } from './mapped-weights.ts';
import { addressOf, ort, ortEnvironment, type Pointer } from './native.ts';
import { releaseValues, shareTensor, withSharedTensors } from './native-value.ts';
import { type SessionOptions, sessionSchemas, withSessionOptions } from './options.ts';
import { Outputs } from './outputs.ts';
import { shareWeights } from './shared-weights.ts';
import { allocator, readSignature, type Signature, takeString } from './signature.ts';
import { describeTensor, type Tensor, tensorSchema } from './tensor.ts';

/** The inputs of a run, by their names. */
export type Feeds = Readonly<Record<string, Tensor>>;

/** Options of one run. */
export interface RunOptions {
  /** The names of the outputs to compute; all by default. */
  readonly outputs?: readonly string[] | undefined;
  /** Results of another run, which are taken without a copy for the inputs of their names that `feeds` does not have. */
  readonly from?: Outputs | undefined;
  /**
   * The caller's memory for some results, by the names of the outputs; it must have exactly their types and shapes. The
   * outputs of the run do not have these results.
   */
  readonly into?: Readonly<Record<string, Tensor>> | undefined;
  /** Stops the run between two nodes; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const feedsSchema = z.record(z.string(), tensorSchema, { error: 'an object with a tensor for each name' });

const runSchemas: OptionSchemas<RunOptions> = {
  outputs: optional(listOf('a list of names', text)),
  from: optional(objectWith('the outputs of another run', 'handle')),
  into: optional(feedsSchema),
  signal: optional(abortSignal),
};

const modelSchema = either(
  'a path, the bytes of a file in a Uint8Array, or a model in memory',
  text,
  z.instanceof(Uint8Array),
  objectWith('', 'graph'),
);

/** Returns a text as C expects it; whoever holds the array keeps it alive. */
const cString = (text: string) => Buffer.from(`${text}\0`);

/**
 * A model that ONNX Runtime has loaded. Close it, or declare it with `await using`, to free its memory.
 *
 * @example
 * await using session = await Session.create('model.onnx', kernelOptions());
 * using outputs = await session.run({ x: floats(new Float32Array(3), [1, 3]) });
 * const [first] = floatData(outputs.get('y'));
 */
export class Session implements AsyncDisposable {
  /** The name of the model in error messages: its path, or the name that the caller gave. */
  readonly name: string;
  /** The inputs of the model; weights are not among them. */
  readonly inputs: Signature;
  /** The outputs of the model. */
  readonly outputs: Signature;
  #handle: Pointer;
  readonly #names = new Map<string, Buffer>();
  readonly #running = new Set<Promise<unknown>>();
  /** The weights that ONNX Runtime reads in the caller's memory; this reference keeps the garbage collector away. */
  readonly #weights: Map<string, Tensor>;

  readonly #flushSubnormals: string | undefined;

  private constructor(
    handle: Pointer,
    name: string,
    flushSubnormals: string | undefined,
    weights = new Map<string, Tensor>(),
  ) {
    this.#handle = handle;
    this.#flushSubnormals = flushSubnormals;
    this.#weights = weights;
    this.name = name;
    this.inputs = readSignature(handle, 'Input', name);
    this.outputs = readSignature(handle, 'Output', name);
    for (const key of [...this.inputs.keys(), ...this.outputs.keys()]) this.#names.set(key, cString(key));
  }

  /**
   * Loads a model.
   *
   * @param model the path of a file (with its external data beside it), the bytes of a file, or a model in memory. ONNX
   * Runtime reads the large weights of a file and of a model in memory where they are, without a copy: they must not change
   * while the session is open. A file may be replaced by another of its name, but not written to.
   * @param name how errors name the model
   * @throws UsageError or InputError if the file cannot be read; RuntimeError if the model does not load
   * @example
   * await using session = await Session.create(await readModel('model.onnx'), kernelOptions());
   */
  static async create(
    model: string | Uint8Array | Model,
    options: SessionOptions = {},
    name?: string,
  ): Promise<Session> {
    checkValue('The model', modelSchema, model);
    checkOptions('Session.create', sessionSchemas, options);
    const label = name ?? (typeof model === 'string' ? model : 'the model');
    const context = `${label} does not load`;
    const environment = ortEnvironment();
    const { flushSubnormals } = options;
    if (typeof model === 'string') await checkReadable(model);
    return withSessionOptions(options, async (settings) => {
      const out = new BigUint64Array(1);
      const encoding = encodingOf(model, options);
      if (typeof encoding === 'string') {
        const held = { kept: encoding, flushSubnormals };
        await ort().doAsync(context, held, 'CreateSession', environment, encoding, settings, out);
        return new Session(out[0] ?? 0n, label, flushSubnormals);
      }
      const { bytes, folder, weights = new Map<string, Tensor>() } = encoding;
      if (folder) ort().do(context, 'AddSessionConfigEntry', settings, EXTERNAL_DATA_FOLDER, folder);
      await withSharedTensors(weights, label, async (values) => {
        const names = [...weights.keys()];
        // The optimizer reads the first, the kernels the second; without the second ONNX Runtime would copy the first.
        if (names.length > 0) ort().do(context, 'AddExternalInitializers', settings, names, values, names.length);
        for (const [index, key] of names.entries())
          ort().do(context, 'AddInitializer', settings, key, values[index] ?? 0n);
        const held = { kept: bytes, flushSubnormals };
        const size = bytes.length;
        await ort().doAsync(context, held, 'CreateSessionFromArray', environment, bytes, size, settings, out);
      });
      return new Session(out[0] ?? 0n, label, flushSubnormals, weights);
    });
  }

  /**
   * Runs the model on another thread. The arrays in `feeds` and `into` must not change until the promise settles.
   *
   * @throws RuntimeError for a missing or unknown input, a wrong type or shape, or a failure in a node; the reason of
   * `options.signal` if that stopped the run
   */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Outputs> {
    checkValue('The inputs of a run', feedsSchema, feeds);
    checkOptions('Session.run', runSchemas, options);
    options.signal?.throwIfAborted();
    const work = this.#run(feeds, options);
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  /**
   * Ends profiling and returns the path of the profile, in Chrome's trace format.
   * @throws RuntimeError if the session was created without `profilePrefix`
   */
  endProfiling(): string {
    const context = `${this.name} was not profiled`;
    return takeString(ort().get(context, 'SessionEndProfiling', this.#open(), allocator()));
  }

  /** Waits for the runs that are under way and frees the model. Later runs are errors. */
  async close(): Promise<void> {
    const handle = this.#handle;
    this.#handle = 0n;
    await Promise.allSettled(this.#running);
    if (handle) ort().call('ReleaseSession', handle);
    this.#weights.clear();
  }

  /** Frees the session when its runs are over. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(feeds: Feeds, options: RunOptions): Promise<Outputs> {
    const handle = this.#open();
    const { from } = options;
    const inputs = checkFeeds(this.name, this.inputs, feeds, (key) => from?.has(key) ?? false);
    const taken = [...this.inputs.keys()].filter((key) => !feeds[key] && from?.has(key));
    const outputs = [...(options.outputs ?? this.outputs.keys())];
    const inputNames = this.#nameList([...inputs.map(([key]) => key), ...taken]);
    const outputNames = this.#nameList(outputs);
    const values = new BigUint64Array(inputs.length);
    const all = new BigUint64Array(inputNames.length);
    const results = new BigUint64Array(outputs.length);
    const settings = options.signal ? ort().get('ONNX Runtime gave no run options', 'CreateRunOptions') : 0n;
    const stop = () => ort().do('The run was not stopped', 'RunOptionsSetTerminate', settings);
    options.signal?.addEventListener('abort', stop);
    try {
      for (const [index, [key, value]] of inputs.entries()) values[index] = shareTensor(this.name, key, value);
      all.set(values);
      all.set(from ? taken.map((key) => from.handle(key)) : [], values.length);
      for (const [index, key] of outputs.entries()) {
        const given = options.into?.[key];
        if (given) results[index] = shareTensor(this.name, key, given);
      }
      const counts = [inputNames.length, outputNames.length] as const;
      const described = inputs.map(([key, value]) => `${key} ${describeTensor(value)}`).join(', ');
      const context = `${this.name} failed on ${described}`;
      await ort().doAsync(
        context,
        { kept: inputs, flushSubnormals: this.#flushSubnormals },
        'Run',
        handle,
        settings,
        inputNames,
        all,
        counts[0],
        outputNames,
        counts[1],
        results,
      );
    } catch (error) {
      releaseValues([...results].filter(Boolean));
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', stop);
      releaseValues([...values].filter(Boolean));
      if (settings) ort().call('ReleaseRunOptions', settings);
    }
    const given = outputs.filter((key) => options.into?.[key]);
    releaseValues(given.map((key) => results[outputs.indexOf(key)] ?? 0n));
    return new Outputs(
      new Map(outputs.flatMap((key, index) => (options.into?.[key] ? [] : [[key, results[index] ?? 0n]]))),
    );
  }

  #open(): Pointer {
    if (!this.#handle) throw new RuntimeError(`${this.name} was closed.`);
    return this.#handle;
  }

  #nameList(keys: readonly string[]): BigUint64Array {
    return BigUint64Array.from(keys, (key) => {
      const text = this.#names.get(key);
      if (!text)
        throw new RuntimeError(
          `${this.name} has no output ${key}; its outputs are ${[...this.outputs.keys()].join(', ')}.`,
        );
      return addressOf(text);
    });
  }
}

/** The entry of the session configuration that says where external data of a model in memory is. */
const EXTERNAL_DATA_FOLDER = 'session.model_external_initializers_file_folder_path';

/**
 * Whether ONNX Runtime may map the weights of a model file. Other execution providers than the processor read the file
 * themselves, an optimized graph that is written would refer to it, and Windows does not replace a file that is mapped.
 */
function canMapWeights({ providers = [], optimizedModelPath }: SessionOptions): boolean {
  const isCpu = providers.every((provider) => (typeof provider === 'string' ? provider : provider.name) === 'cpu');
  return isCpu && !optimizedModelPath && process.platform !== 'win32';
}

/** A model as bytes, with the folder of its external data or the weights that it shares with the caller. */
interface Encoding {
  readonly bytes: Uint8Array;
  readonly folder?: string;
  readonly weights?: Map<string, Tensor>;
}

/** Returns the form in which ONNX Runtime takes a model; a path where ONNX Runtime itself must read the file. */
function encodingOf(model: string | Uint8Array | Model, options: SessionOptions): string | Encoding {
  if (typeof model === 'string') return (canMapWeights(options) && mapWeights(model)) || model;
  return model instanceof Uint8Array ? { bytes: model } : shareWeights(model);
}

/** Checks that a model file can be read. ONNX Runtime's own messages name its source files instead of the path. */
async function checkReadable(path: string): Promise<void> {
  try {
    const found = await stat(path);
    if (found.isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
    if (!found.isFile()) throw irregularFile(path);
    await access(path, constants.R_OK);
  } catch (error) {
    throw error instanceof InputError ? error : fileError('read', path, error);
  }
}
