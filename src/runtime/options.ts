/** The options of a session, and their translation into ONNX Runtime's session options. */
import { z } from 'zod';
import { either, listOf, type OptionSchemas, oneOf, optional, text, truth } from '../base/check-options.ts';
import { messageOf } from '../base/errors.ts';
import { RuntimeError } from './error.ts';
import { checkKernelPath, TRAINING_ENTRY } from './kernels.ts';
import { ort, type Pointer, readString, viewMemory } from './native.ts';
import { defaultThreads, type ThreadOptions, threadsSchema } from './threads.ts';

/** How far ONNX Runtime optimizes a graph: each level includes the ones before it. */
export type OptimizationLevel = 'none' | 'basic' | 'extended' | 'layout' | 'all';

/** An execution provider, by the name of its device. */
export type ProviderName = 'cpu' | 'webgpu' | 'cuda' | 'tensorrt';

/** An execution provider with its options. */
export interface Provider {
  /** The device. */
  readonly name: ProviderName;
  /** Options that are passed to the provider as they are, such as `device_id` or `trt_engine_cache_enable`. */
  readonly options?: Readonly<Record<string, string>>;
}

/** Options of `Session.create`. */
export interface SessionOptions extends ThreadOptions {
  /** How far the graph is optimized; `all` by default. */
  readonly optimization?: OptimizationLevel | undefined;
  /** The execution providers in order of preference; `cpu` is always the last, and the only one by default. */
  readonly providers?: readonly (ProviderName | Provider)[] | undefined;
  /** Entries of ONNX Runtime's session configuration, such as `session.disable_prepacking`. */
  readonly config?: Readonly<Record<string, string>> | undefined;
  /** The paths of shared libraries with custom operators; see `kernelOptions`. */
  readonly customOperators?: readonly string[] | undefined;
  /**
   * Whether the operators for calibration and training in dino8's library are loaded as well; by default they are not, so
   * that a model's own functions of these names run by their bodies.
   */
  readonly trainingOperators?: boolean | undefined;
  /** The file to which the optimized graph is written; none by default. */
  readonly optimizedModelPath?: string | undefined;
  /** The beginning of the path of a profile, which `session.endProfiling()` completes; no profile by default. */
  readonly profilePrefix?: string | undefined;
  /** Whether memory is reused between runs, as by default; without it a run is slower and gives its memory back. */
  readonly memoryArena?: boolean | undefined;
  /**
   * The path of dino8's kernel library, if the session is to take subnormal numbers (below 1.2e-38) as zero, on x86
   * processors: they take the processor up to a hundred times as long, and a softmax of masked scores is full of them.
   * `kernelOptions` sets it; by default subnormal numbers are kept.
   */
  readonly flushSubnormals?: string | undefined;
}

const OPTIMIZATION: Record<OptimizationLevel, number> = { none: 0, basic: 1, extended: 2, layout: 3, all: 99 };

/** Entries of the session configuration that every session has unless its options say otherwise. */
const CONFIG: Readonly<Record<string, string>> = {
  // The arena grows by powers of two and would hold weights with up to as much unused memory beside them.
  'session.use_device_allocator_for_initializers': '1',
};

/** ONNX Runtime's names of the execution providers. */
const PROVIDERS: Record<ProviderName, string> = {
  cpu: 'CPUExecutionProvider',
  webgpu: 'WebGpuExecutionProvider',
  cuda: 'CUDAExecutionProvider',
  tensorrt: 'TensorrtExecutionProvider',
};

/** The execution providers that dino8 knows. */
export const PROVIDER_NAMES = Object.keys(PROVIDERS) as readonly ProviderName[]; // the keys of the record above

const texts = z.record(z.string(), z.string({ error: 'a text' }), { error: 'an object of texts' });

const providerSchema = either(
  `the name of an execution provider, which are ${PROVIDER_NAMES.join(', ')}, or one with its options`,
  oneOf(PROVIDER_NAMES),
  z.strictObject({ name: oneOf(PROVIDER_NAMES), options: optional(texts) }),
);

/** What the options of a session must be. */
export const sessionSchemas: OptionSchemas<SessionOptions> = {
  threads: threadsSchema,
  optimization: optional(oneOf(Object.keys(OPTIMIZATION))),
  providers: optional(listOf('a list of execution providers', providerSchema)),
  config: optional(texts),
  customOperators: optional(listOf('a list of paths', text)),
  trainingOperators: optional(truth),
  optimizedModelPath: optional(text),
  profilePrefix: optional(text),
  memoryArena: optional(truth),
  flushSubnormals: optional(text),
};

/**
 * Returns the execution providers that this ONNX Runtime was built with, in its own spelling. That one is built in does not
 * mean that it works on this machine.
 *
 * @example
 * availableProviders(); // ['CPUExecutionProvider', …]
 */
export function availableProviders(): string[] {
  const api = ort();
  const out = new BigUint64Array(1);
  const count = new Int32Array(1);
  const context = 'ONNX Runtime could not list its execution providers';
  api.do(context, 'GetAvailableProviders', out, count);
  const [list = 0n] = out;
  const [length = 0] = count;
  const names = pointersAt(list, length).map(readString);
  api.do(context, 'ReleaseAvailableProviders', list, length);
  return names;
}

function pointersAt(address: Pointer, count: number): Pointer[] {
  return [...new BigUint64Array(viewMemory(address, count * BigUint64Array.BYTES_PER_ELEMENT))];
}

/**
 * Makes ONNX Runtime's session options, hands them to `use`, and frees them afterwards.
 * @throws UsageError if DINO8_KERNEL_PATH names an instruction set that this machine does not have; RuntimeError if ONNX
 * Runtime refuses an option, or if an execution provider does not start
 */
export async function withSessionOptions<T>(
  options: SessionOptions,
  use: (options: Pointer) => Promise<T>,
): Promise<T> {
  const api = ort();
  const handle = api.get('ONNX Runtime gave no session options', 'CreateSessionOptions');
  try {
    applyOptions(handle, options);
    return await use(handle);
  } finally {
    api.call('ReleaseSessionOptions', handle);
  }
}

function applyOptions(handle: Pointer, options: SessionOptions): void {
  const api = ort();
  const context = 'A session option was refused';
  const LOG_FATAL = 4; // errors are thrown, so ONNX Runtime need not print them too
  api.do(context, 'SetSessionLogSeverityLevel', handle, LOG_FATAL);
  const { threads = defaultThreads() } = options;
  api.do(context, 'SetIntraOpNumThreads', handle, threads);
  api.do(context, 'SetInterOpNumThreads', handle, 1);
  api.do(context, 'SetSessionGraphOptimizationLevel', handle, OPTIMIZATION[options.optimization ?? 'all']);
  // A memory pattern places all values of a run in one block that is allocated beside the memory of the first run.
  api.do(context, 'DisableMemPattern', handle);
  if (options.memoryArena === false) api.do(context, 'DisableCpuMemArena', handle);
  if (options.optimizedModelPath) api.do(context, 'SetOptimizedModelFilePath', handle, options.optimizedModelPath);
  if (options.profilePrefix) api.do(context, 'EnableProfiling', handle, options.profilePrefix);
  // This sets the threads that ONNX Runtime starts; the session sets the thread that calls.
  if (options.flushSubnormals) api.do(context, 'AddSessionConfigEntry', handle, 'session.set_denormal_as_zero', '1');
  for (const [key, value] of Object.entries({ ...CONFIG, ...options.config }))
    api.do(`The session config entry ${key} was refused`, 'AddSessionConfigEntry', handle, key, value);
  // The library reads this entry when its operators are registered.
  if (options.trainingOperators) api.do(context, 'AddSessionConfigEntry', handle, TRAINING_ENTRY, '1');
  for (const library of options.customOperators ?? []) {
    checkKernelPath(library);
    api.do(`The custom operators in ${library} could not be loaded`, 'RegisterCustomOpsLibrary_V2', handle, library);
  }
  for (const provider of options.providers ?? [])
    appendProvider(handle, typeof provider === 'string' ? { name: provider } : provider);
}

function appendProvider(handle: Pointer, { name, options = {} }: Provider): void {
  if (name === 'cpu') return;
  const available = availableProviders();
  if (!available.includes(PROVIDERS[name])) {
    const known = Object.entries(PROVIDERS).flatMap(([short, native]) => (available.includes(native) ? [short] : []));
    throw new RuntimeError(
      `The execution provider ${name} is not in this build of ONNX Runtime, which has ${known.join(', ')}; ${ADVICE}.`,
    );
  }
  try {
    startProvider(handle, name, options);
  } catch (error) {
    // A build may know a provider whose libraries are not installed. ONNX Runtime's message then names its source files.
    if (messageOf(error).includes('Failed to load library'))
      throw new RuntimeError(`The execution provider ${name} is not installed; ${ADVICE}.`);
    throw error;
  }
}

const ADVICE = 'install onnxruntime-node with its GPU libraries (see CONTRIBUTING.md) or choose another provider';

function startProvider(
  handle: Pointer,
  name: Exclude<ProviderName, 'cpu'>,
  options: Readonly<Record<string, string>>,
): void {
  const api = ort();
  const context = `The execution provider ${name} did not start`;
  const keys = Object.keys(options);
  const values = Object.values(options);
  if (name === 'webgpu') {
    api.do(context, 'SessionOptionsAppendExecutionProvider', handle, 'WebGPU', keys, values, keys.length);
    return;
  }
  const kind = name === 'cuda' ? 'CUDA' : 'TensorRT';
  const settings = api.get(context, `Create${kind}ProviderOptions`);
  try {
    api.do(context, `Update${kind}ProviderOptions`, settings, keys, values, keys.length);
    api.do(context, `SessionOptionsAppendExecutionProvider_${kind}_V2`, handle, settings);
  } finally {
    api.call(`Release${kind}ProviderOptions`, settings);
  }
}
