/**
 * A model that runs. Runs happen off the main thread; inputs and outputs are shared with ONNX Runtime, not copied.
 *
 * Lifetime: outputs are views into ONNX Runtime's memory and live until `outputs.dispose()` (or the end of a `using`
 * block); afterwards their arrays are empty, never dangling. Forgotten outputs are freed by the garbage collector.
 */
import { access, constants, stat } from 'node:fs/promises';
import { fileError } from '../base/files.ts';
import type { Model } from '../onnx/read.ts';
import { viewAs } from '../onnx/tensor.ts';
import { byteLength, DataType, type Dimension, elementCount, type TensorInfo } from '../onnx/types.ts';
import { detach } from './detach.ts';
import { RuntimeError } from './error.ts';
import { addressOf, ort, ortEnvironment, type Pointer, readString, viewMemory } from './native.ts';
import { type SessionOptions, withSessionOptions } from './options.ts';
import { shareWeights } from './shared-weights.ts';
import { describeTensor, type Tensor, tensorData } from './tensor.ts';

/** Tensors by the names of inputs. */
export type Feeds = Readonly<Record<string, Tensor>>;

/** Options of a run. */
export interface RunOptions {
  /** The outputs to compute. Default: all. */
  readonly outputs?: readonly string[] | undefined;
  /** Results of another run that are taken as they are, where `feeds` has no input of their name. */
  readonly from?: Outputs | undefined;
  /** Where results are written, by the names of outputs: memory of the caller's, of exactly their types and shapes. */
  readonly into?: Readonly<Record<string, Tensor>> | undefined;
  /** Stops the run between two nodes; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** The names, types and shapes of one side of a session. */
export type Signature = ReadonlyMap<string, TensorInfo>;

/** The results of a run. A result becomes an array when it is asked for. */
export class Outputs implements Disposable {
  readonly #values: ReadonlyMap<string, Pointer>;
  readonly #tensors = new Map<string, Tensor>();
  readonly #memory: ArrayBuffer[] = [];
  /** Shared with the registry, which frees what is still in it. */
  readonly #held: Pointer[];

  constructor(values: ReadonlyMap<string, Pointer>) {
    this.#values = values;
    this.#held = [...values.values()];
    forgotten.register(this, this.#held, this);
  }

  /** @throws RuntimeError if there is no output of that name. */
  get(name: string): Tensor {
    const known = this.#tensors.get(name);
    if (known) return known;
    const { tensor, memory } = viewTensor(name, this.handle(name));
    this.#tensors.set(name, tensor);
    this.#memory.push(memory);
    return tensor;
  }

  /** The names of the outputs that were computed. */
  get names(): string[] {
    return [...this.#values.keys()];
  }

  /** Whether an output of that name was computed. */
  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The result as ONNX Runtime holds it, for another run to take. */
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

function releaseValues(values: Pointer[]): void {
  for (const value of values.splice(0)) ort().call('ReleaseValue', value);
}

const forgotten = new FinalizationRegistry<Pointer[]>(releaseValues);

/** Text as C expects it, kept alive by whoever holds the array. */
const cString = (text: string) => Buffer.from(`${text}\0`);

/**
 * A model that is loaded in ONNX Runtime and can be run.
 *
 * @example
 * await using session = await Session.create('model.onnx');
 * using outputs = await session.run({ x: floats(Float32Array.of(1, 2, 3), [3]) });
 * console.log(floatData(outputs.get('y')));
 */
export class Session implements AsyncDisposable {
  /** How errors name the model: its path, or what the caller said. */
  readonly name: string;
  /** The inputs of the model, by name. */
  readonly inputs: Signature;
  /** The outputs of the model, by name. */
  readonly outputs: Signature;
  #handle: Pointer;
  readonly #names = new Map<string, Buffer>();
  readonly #running = new Set<Promise<unknown>>();
  /** Weights that ONNX Runtime reads in the caller's memory: the garbage collector must see that they are used. */
  readonly #weights: Map<string, Tensor>;

  private constructor(handle: Pointer, name: string, weights = new Map<string, Tensor>()) {
    this.#handle = handle;
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
   * Runtime reads the large weights of a model in memory where they are, without a copy: they must not change while the
   * session is open.
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
    const label = name ?? (typeof model === 'string' ? model : 'the model');
    const context = `${label} does not load`;
    const environment = ortEnvironment();
    if (typeof model === 'string') await checkReadable(model);
    return withSessionOptions(options, async (settings) => {
      const out = new BigUint64Array(1);
      if (typeof model === 'string') {
        await ort().doAsync(context, model, 'CreateSession', environment, model, settings, out);
        return new Session(out[0] ?? 0n, label);
      }
      const { bytes, weights } =
        model instanceof Uint8Array ? { bytes: model, weights: new Map<string, Tensor>() } : shareWeights(model);
      await withSharedTensors(weights, label, async (values) => {
        const names = [...weights.keys()];
        // The optimizer reads the first, the kernels the second; without the second ONNX Runtime would copy the first.
        if (names.length > 0) ort().do(context, 'AddExternalInitializers', settings, names, values, names.length);
        for (const [index, key] of names.entries())
          ort().do(context, 'AddInitializer', settings, key, values[index] ?? 0n);
        await ort().doAsync(context, bytes, 'CreateSessionFromArray', environment, bytes, bytes.length, settings, out);
      });
      return new Session(out[0] ?? 0n, label, weights);
    });
  }

  /**
   * Runs the model on another thread. The arrays in `feeds` and `into` must not change until the promise settles.
   * @throws RuntimeError for a missing or unknown input, a wrong type or shape, or a failure in a node.
   */
  async run(feeds: Feeds, options: RunOptions = {}): Promise<Outputs> {
    options.signal?.throwIfAborted();
    const work = this.#run(feeds, options);
    this.#running.add(work);
    try {
      return await work;
    } finally {
      this.#running.delete(work);
    }
  }

  /** Ends profiling and answers the path of the profile, in Chrome's trace format. */
  endProfiling(): string {
    const context = `${this.name} was not profiled`;
    return takeString(ort().get(context, 'SessionEndProfiling', this.#open(), allocator()));
  }

  /** Frees the model once the runs that are under way are over. */
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
    const inputs = this.#checkFeeds(feeds, from);
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
        inputs,
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

  #checkFeeds(feeds: Feeds, from: Outputs | undefined): [string, Tensor][] {
    const unknown = Object.keys(feeds).find((key) => !this.inputs.has(key));
    if (unknown !== undefined)
      throw new RuntimeError(
        `${this.name} has no input ${unknown}; its inputs are ${[...this.inputs.keys()].join(', ')}.`,
      );
    return [...this.inputs].flatMap(([key, info]): [string, Tensor][] => {
      const value = feeds[key];
      if (!value && from?.has(key)) return [];
      if (!value) throw new RuntimeError(`${this.name} needs the input ${key}, which was not given.`);
      const fits =
        value.type === info.type &&
        (!info.shape ||
          (info.shape.length === value.shape.length &&
            info.shape.every((extent, axis) => typeof extent !== 'number' || extent === value.shape[axis])));
      if (!fits)
        throw new RuntimeError(
          `${this.name} takes ${key} as ${DataType[info.type]}[${info.shape?.map((extent) => extent ?? '?').join(', ') ?? '…'}] and was given ${describeTensor(value)}.`,
        );
      return [[key, value]];
    });
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

/** An OrtValue over the memory of a tensor of the model `name`; the caller releases it. */
function shareTensor(name: string, key: string, value: Tensor): Pointer {
  const bytes = tensorData(value);
  const shape = BigInt64Array.from(value.shape, BigInt);
  return ort().get(
    `${name} refused the memory for ${key}`,
    'CreateTensorWithDataAsOrtValue',
    cpuMemory(),
    bytes,
    bytes.length,
    shape,
    shape.length,
    value.type,
  );
}

/** Calls `use` with OrtValues over the memory of `tensors`, in their order, and releases them. */
async function withSharedTensors(
  tensors: ReadonlyMap<string, Tensor>,
  name: string,
  use: (values: BigUint64Array) => Promise<void>,
): Promise<void> {
  const values: Pointer[] = [];
  try {
    for (const [key, value] of tensors) values.push(shareTensor(name, key, value));
    await use(BigUint64Array.from(values));
  } finally {
    releaseValues(values);
  }
}

/** ONNX Runtime's own words for a path that is wrong name its sources; ours name the path. */
async function checkReadable(path: string): Promise<void> {
  try {
    if ((await stat(path)).isDirectory()) throw Object.assign(new Error('is a directory'), { code: 'EISDIR' });
    await access(path, constants.R_OK);
  } catch (error) {
    throw fileError('read', path, error);
  }
}

let cpuMemoryInfo: Pointer | undefined;

function cpuMemory(): Pointer {
  const ARENA = 1;
  const DEFAULT = 0;
  cpuMemoryInfo ??= ort().get('ONNX Runtime has no CPU memory', 'CreateCpuMemoryInfo', ARENA, DEFAULT);
  return cpuMemoryInfo;
}

function allocator(): Pointer {
  return ort().get('ONNX Runtime has no allocator', 'GetAllocatorWithDefaultOptions');
}

/** Reads a text that ONNX Runtime allocated, and frees it. */
function takeString(address: Pointer): string {
  const text = readString(address);
  ort().do('ONNX Runtime did not take back a text', 'AllocatorFree', allocator(), address);
  return text;
}

function viewTensor(name: string, value: Pointer): { tensor: Tensor; memory: ArrayBuffer } {
  const { type, shape } = describeValue(value);
  const extents = shape.map(Number);
  const bytes = byteLength(type, elementCount(extents)) ?? 0;
  const address = ort().get(`The output ${name} is not a tensor`, 'GetTensorMutableData', value);
  const memory = bytes > 0 ? viewMemory(address, bytes) : new ArrayBuffer(0);
  return { tensor: { type, shape: extents, data: viewAs(type, new Uint8Array(memory)) }, memory };
}

function describeValue(value: Pointer): { type: DataType; shape: Dimension[] } {
  const info = ort().get('An output is not a tensor', 'GetTensorTypeAndShape', value);
  try {
    return readTypeAndShape(info);
  } finally {
    ort().call('ReleaseTensorTypeAndShapeInfo', info);
  }
}

/** The element types of ONNX Runtime's C API are numbered as those of the file format. */
function readTypeAndShape(info: Pointer): { type: DataType; shape: Dimension[] } {
  const context = 'ONNX Runtime could not describe a tensor';
  const type = new Int32Array(1);
  const rank = new BigUint64Array(1);
  ort().do(context, 'GetTensorElementType', info, type);
  ort().do(context, 'GetDimensionsCount', info, rank);
  const extents = new BigInt64Array(Number(rank[0]));
  if (extents.length > 0) ort().do(context, 'GetDimensions', info, extents, extents.length);
  const symbols = new BigUint64Array(extents.length);
  if (extents.length > 0) ort().do(context, 'GetSymbolicDimensions', info, symbols, symbols.length);
  const shape = Array.from(extents, (extent, axis): Dimension => {
    if (extent >= 0n) return Number(extent);
    return readString(symbols[axis] ?? 0n) || undefined;
  });
  return { type: (type[0] ?? 0) as DataType, shape };
}

function readSignature(session: Pointer, side: 'Input' | 'Output', name: string): Signature {
  const context = `${name} could not be described`;
  const count = Number(ort().get(context, `SessionGet${side}Count`, session));
  const signature = new Map<string, TensorInfo>();
  for (let index = 0; index < count; index++) {
    const key = takeString(ort().get(context, `SessionGet${side}Name`, session, index, allocator()));
    const info = ort().get(context, `SessionGet${side}TypeInfo`, session, index);
    try {
      const cast = ort().get(context, 'CastTypeInfoToTensorInfo', info);
      if (!cast) throw new RuntimeError(`${name} has the ${side.toLowerCase()} ${key}, which is not a tensor.`);
      signature.set(key, readTypeAndShape(cast));
    } finally {
      ort().call('ReleaseTypeInfo', info);
    }
  }
  return signature;
}
