/**
 * ONNX Runtime's C API (onnxruntime_c_api.h), called in the shared library that `onnxruntime-node` brings.
 *
 * The library exports one function, `OrtGetApiBase`. Everything else is in a table of function pointers whose order is part
 * of the ABI: later versions only append functions. The table below has the position of each function that is used here.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { LibraryHandle } from 'koffi';
import { MemoryError, saysOutOfMemory } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import { commandLineLength, LONGEST_COMMAND_LINE } from './command-line.ts';
import { RuntimeError } from './error.ts';
import { koffi } from './koffi.ts';
import { firstLine, platformName, runtimeAdvice } from './load-library.ts';

/** A native address. 0n is the null pointer. */
export type Pointer = bigint;

/** Memory that a native function reads or fills; it must stay referenced until the call is over. */
export type Memory = NodeJS.TypedArray;

/** The version of the function table: that of ONNX Runtime 1.20, which has every function that is used here. */
const API_VERSION = 20;

const POINTER_SIZE = 8;

/** The position in OrtApi and the C prototype of each function. Functions that can fail return an OrtStatus pointer. */
const functions = {
  GetErrorCode: [1, 'int (const void *status)'],
  GetErrorMessage: [2, 'const char *(const void *status)'],
  CreateEnv: [3, 'void *(int level, const char *id, void *out)'],
  CreateSession: [7, 'void *(void *env, const char *path, void *options, void *out)'],
  CreateSessionFromArray: [8, 'void *(void *env, void *data, size_t size, void *options, void *out)'],
  Run: [
    9,
    'void *(void *session, void *options, void *names, void *inputs, size_t n, void *outNames, size_t m, void *outputs)',
  ],
  CreateSessionOptions: [10, 'void *(void *out)'],
  SetOptimizedModelFilePath: [11, 'void *(void *options, const char *path)'],
  EnableProfiling: [14, 'void *(void *options, const char *prefix)'],
  DisableMemPattern: [17, 'void *(void *options)'],
  DisableCpuMemArena: [19, 'void *(void *options)'],
  SetSessionLogSeverityLevel: [22, 'void *(void *options, int level)'],
  SetSessionGraphOptimizationLevel: [23, 'void *(void *options, int level)'],
  SetIntraOpNumThreads: [24, 'void *(void *options, int threads)'],
  SetInterOpNumThreads: [25, 'void *(void *options, int threads)'],
  SessionGetInputCount: [30, 'void *(void *session, void *out)'],
  SessionGetOutputCount: [31, 'void *(void *session, void *out)'],
  SessionGetInputTypeInfo: [33, 'void *(void *session, size_t index, void *out)'],
  SessionGetOutputTypeInfo: [34, 'void *(void *session, size_t index, void *out)'],
  SessionGetInputName: [36, 'void *(void *session, size_t index, void *allocator, void *out)'],
  SessionGetOutputName: [37, 'void *(void *session, size_t index, void *allocator, void *out)'],
  CreateRunOptions: [39, 'void *(void *out)'],
  RunOptionsSetTerminate: [46, 'void *(void *options)'],
  CreateTensorWithDataAsOrtValue: [
    49,
    'void *(void *memory, void *data, size_t bytes, void *dims, size_t rank, int type, void *out)',
  ],
  GetTensorMutableData: [51, 'void *(void *value, void *out)'],
  CastTypeInfoToTensorInfo: [55, 'void *(void *info, void *out)'],
  GetTensorElementType: [60, 'void *(void *info, void *out)'],
  GetDimensionsCount: [61, 'void *(void *info, void *out)'],
  GetDimensions: [62, 'void *(void *info, void *dims, size_t rank)'],
  GetSymbolicDimensions: [63, 'void *(void *info, void *names, size_t rank)'],
  GetTensorTypeAndShape: [65, 'void *(void *value, void *out)'],
  CreateCpuMemoryInfo: [69, 'void *(int allocator, int type, void *out)'],
  AllocatorFree: [76, 'void *(void *allocator, void *data)'],
  GetAllocatorWithDefaultOptions: [78, 'void *(void *out)'],
  ReleaseStatus: [93, 'void (void *status)'],
  ReleaseSession: [95, 'void (void *session)'],
  ReleaseValue: [96, 'void (void *value)'],
  ReleaseRunOptions: [97, 'void (void *options)'],
  ReleaseTypeInfo: [98, 'void (void *info)'],
  ReleaseTensorTypeAndShapeInfo: [99, 'void (void *info)'],
  ReleaseSessionOptions: [100, 'void (void *options)'],
  SessionEndProfiling: [110, 'void *(void *session, void *allocator, void *out)'],
  GetAvailableProviders: [125, 'void *(void *out, void *count)'],
  ReleaseAvailableProviders: [126, 'void *(void *names, int count)'],
  AddSessionConfigEntry: [130, 'void *(void *options, const char *key, const char *value)'],
  AddInitializer: [150, 'void *(void *options, const char *name, void *value)'],
  SessionOptionsAppendExecutionProvider_TensorRT_V2: [170, 'void *(void *options, void *provider)'],
  CreateTensorRTProviderOptions: [171, 'void *(void *out)'],
  UpdateTensorRTProviderOptions: [172, 'void *(void *provider, const char **keys, const char **values, size_t n)'],
  ReleaseTensorRTProviderOptions: [174, 'void (void *provider)'],
  SessionOptionsAppendExecutionProvider_CUDA_V2: [204, 'void *(void *options, void *provider)'],
  CreateCUDAProviderOptions: [205, 'void *(void *out)'],
  UpdateCUDAProviderOptions: [206, 'void *(void *provider, const char **keys, const char **values, size_t n)'],
  ReleaseCUDAProviderOptions: [208, 'void (void *provider)'],
  AddExternalInitializers: [210, 'void *(void *options, const char **names, void *values, size_t n)'],
  SessionOptionsAppendExecutionProvider: [
    216,
    'void *(void *options, const char *name, const char **keys, const char **values, size_t n)',
  ],
  RegisterCustomOpsLibrary_V2: [228, 'void *(void *options, const char *path)'],
} as const satisfies Record<string, readonly [number, string]>;

type FunctionName = keyof typeof functions;
/** The functions that compute. */
type ComputingFunctionName = 'CreateSession' | 'CreateSessionFromArray' | 'Run';
type Argument = Pointer | Memory | number | string | null | readonly string[];
type Result = Pointer | string | number | null | undefined;

/** A function of the table, which is called on this thread or, by `async`, on another one with the result in a callback. */
interface NativeFunction {
  (...args: Argument[]): Result;
  async(...args: [...Argument[], (error: unknown, result: Result) => void]): void;
}

/** Loads ONNX Runtime's shared library. @throws RuntimeError if there is none for this platform. */
function loadRuntime(): LibraryHandle {
  const names = { linux: 'libonnxruntime.so.1', darwin: 'libonnxruntime.1.dylib', win32: 'onnxruntime.dll' };
  const name = names[process.platform as keyof typeof names]; // other platforms give undefined, handled below
  try {
    const manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
    const path = name && join(dirname(manifest), 'bin', 'napi-v6', process.platform, process.arch, name);
    if (!path || !existsSync(path)) throw new Error('onnxruntime-node has no build for it');
    return koffi().load(path);
  } catch (error) {
    if (error instanceof RuntimeError) throw error;
    throw new RuntimeError(
      `ONNX Runtime does not load on ${platformName()} (${firstLine(error)}); ${runtimeAdvice()}.`,
    );
  }
}

/** ONNX Runtime's functions; `ort()` returns the one instance. */
class OrtApi {
  /** ONNX Runtime's version, such as "1.30.0". */
  readonly version: string;
  /** Held as long as the process runs: koffi unloads a library whose handle is collected. */
  readonly #library: LibraryHandle;
  readonly #table: Pointer;
  readonly #functions = new Map<FunctionName, NativeFunction>();
  readonly #flushing = new Map<string, NativeFunction>();
  readonly #held = new Set<unknown>();

  constructor() {
    this.#library = loadRuntime();
    const base: Pointer = this.#library.func('void *OrtGetApiBase()')();
    const slot = (table: Pointer, index: number): Pointer => koffi().decode(table, index * POINTER_SIZE, 'void *');
    this.version = koffi().call(slot(base, 1), koffi().proto('const char *GetVersionString()'));
    this.#table = koffi().call(slot(base, 0), koffi().proto('void *GetApi(uint32_t version)'), API_VERSION);
    if (!this.#table)
      throw new RuntimeError(`ONNX Runtime ${this.version} is older than the 1.${API_VERSION} that dino8 needs.`);
  }

  /** Calls a function that cannot fail. */
  call(name: FunctionName, ...args: Argument[]): Result {
    return this.#find(name)(...args);
  }

  /** Calls a function that returns a status. @throws RuntimeError with `context` and ONNX Runtime's message. */
  do(context: string, name: FunctionName, ...args: Argument[]): void {
    this.#check(this.#find(name)(...args), context);
  }

  /**
   * Calls a function that computes and returns a status, on another thread. The memory that the arguments point to and
   * `kept` are not collected before the call is over: the garbage collector does not know what native code still reads.
   *
   * With `flushSubnormals`, the path of dino8's kernel library, the thread takes subnormal numbers as zero meanwhile:
   * a function of that library (kernels/subnormals.cpp) sets the thread, calls ONNX Runtime's and restores the thread.
   * @throws RuntimeError as `do` does
   */
  doAsync(
    context: string,
    { kept, flushSubnormals }: { readonly kept: unknown; readonly flushSubnormals?: string | undefined },
    name: ComputingFunctionName,
    ...given: Argument[]
  ): Promise<void> {
    const called = flushSubnormals ? this.#flushingFunction(flushSubnormals, name) : this.#find(name);
    const args = flushSubnormals ? [this.#address(name), ...given] : given;
    const held = { kept, args };
    this.#held.add(held);
    return new Promise((resolve, reject) => {
      called.async(...args, (error, status) => {
        this.#held.delete(held);
        try {
          if (error) throw error;
          this.#check(status, context);
          resolve();
        } catch (failure) {
          reject(failure);
        }
      });
    });
  }

  /** Calls a function whose last argument receives a pointer, and returns that pointer. @throws RuntimeError as `do` does. */
  get(context: string, name: FunctionName, ...args: Argument[]): Pointer {
    const out = new BigUint64Array(1);
    this.do(context, name, ...args, out);
    return out[0] ?? 0n;
  }

  #find(name: FunctionName): NativeFunction {
    const known = this.#functions.get(name);
    if (known) return known;
    const [, prototype] = functions[name];
    const split = prototype.indexOf('(');
    const type = koffi().proto(`${prototype.slice(0, split)} ${name}${prototype.slice(split)}`);
    const decoded: NativeFunction = koffi().decode(this.#address(name), type);
    this.#functions.set(name, decoded);
    return decoded;
  }

  #flushingFunction(library: string, name: ComputingFunctionName): NativeFunction {
    const key = `${name} of ${library}`;
    const known = this.#flushing.get(key);
    if (known) return known;
    const prototype = functions[name][1].replace('(', `dino8_flushing_${name}(void *function, `);
    const found: NativeFunction = koffi().load(library).func(prototype);
    this.#flushing.set(key, found);
    return found;
  }

  #address(name: FunctionName): Pointer {
    return koffi().decode(this.#table, functions[name][0] * POINTER_SIZE, 'void *');
  }

  #check(status: Result, context: string): void {
    if (!status) return;
    const message = String(this.call('GetErrorMessage', status as Pointer)); // a status is an address
    this.call('ReleaseStatus', status as Pointer); // as above
    if (saysOutOfMemory(message))
      throw new MemoryError(
        `${context}: there is not enough memory; give the process more, or lower \`threads\`, the number of images that are computed together or their size.`,
      );
    throw new RuntimeError(`${context}: ${readable(message)}`);
  }
}

/** Returns ONNX Runtime's message on one line, without the paths of the machine that it was built on. */
function readable(message: string): string {
  // Short words first: the message may repeat a name of a model that is as long as its file.
  return printable(message)
    .replace(/\S+\.(?:cc|h):\d+ .*? was false\. /g, '')
    .replace(/\/\S*\/onnxruntime\/(\S+?:\d+)/g, '$1')
    .trim()
    .replace(/\.?$/, '.');
}

let api: OrtApi | undefined;

/** Returns ONNX Runtime's API, which is loaded at the first call. @throws RuntimeError if the library is missing or too old. */
export function ort(): OrtApi {
  api ??= new OrtApi();
  return api;
}

let environment: Pointer | undefined;

/**
 * Returns ONNX Runtime's state of the process, which all sessions share and which is never released.
 * @throws RuntimeError if the command line of the process is too long for ONNX Runtime
 */
export function ortEnvironment(): Pointer {
  if (environment === undefined && commandLineLength() > LONGEST_COMMAND_LINE)
    throw new RuntimeError(
      `ONNX Runtime crashes in a process whose command line is longer than ${LONGEST_COMMAND_LINE} bytes; pass long arguments in another way.`,
    );
  const LOG_FATAL = 4; // errors are thrown, so ONNX Runtime need not print them too
  environment ??= ort().get('ONNX Runtime did not start', 'CreateEnv', LOG_FATAL, 'dino8');
  return environment;
}

/** Returns the memory at an address as an ArrayBuffer, without a copy. */
export function viewMemory(address: Pointer, bytes: number): ArrayBuffer {
  return koffi().view(address, bytes);
}

/** Returns the NUL-terminated text at an address. */
export function readString(address: Pointer): string {
  return koffi().decode(address, 'char', -1);
}

/** Returns the address of the memory of a typed array. */
export function addressOf(memory: Memory): Pointer {
  return koffi().address(memory);
}
