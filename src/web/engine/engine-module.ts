/** The engine: a module of WebAssembly that runs quantized models (kernels/engine/), with its memory. */
import { isOutOfMemory, MemoryError, messageOf } from '../../base/errors.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { type EngineFunctions, FUNCTIONS } from './engine-functions.ts';
import { startThreads } from './engine-threads.ts';
import { type CompiledModule, type Memory, webAssembly } from './web-assembly.ts';

export { type EngineVariant, supportedVariants } from './engine-variants.ts';

/** The bytes of a thread's stack. */
const STACK_BYTES = 1 << 18;

/** The pages of 64 kB with which memory begins: what the module itself needs, and a few more. */
const FIRST_PAGES = 64;
/** The most pages that it may grow to: 4 GB, or less where a browser cannot set so many addresses aside. */
const MOST_PAGES = [65536, 32768, 16384];

/** Memory that threads can share, which pages without threads may have too. */
function makeMemory(): Memory {
  let problem: unknown;
  for (const maximum of MOST_PAGES)
    try {
      return new webAssembly.Memory({ initial: FIRST_PAGES, maximum, shared: true });
    } catch (error) {
      problem = error;
    }
  throw new MemoryError(
    `The browser gave the engine no memory (${messageOf(problem)}); close other tabs, or use a newer browser.`,
    { cause: problem },
  );
}

/** What went wrong in the engine, as a sentence without its beginning and its full stop. `EngineSession` says of which model. */
export class EngineFailure extends Error {
  /** True if memory ran out. */
  readonly isOutOfMemory: boolean;

  constructor(problem: string, isOutOfMemory = problem.includes('not enough memory')) {
    super(problem);
    this.isOutOfMemory = isOutOfMemory;
  }
}

/**
 * The engine, compiled and instantiated in a browser or Node.js. Its models share its memory, and run one at a time.
 * @example
 * const [variant = 'simd'] = supportedVariants();
 * const engine = await EngineModule.create(await readVariant(variant));
 * const session = await EngineSession.create(engine, model, 'the model');
 */
export class EngineModule {
  readonly #functions: EngineFunctions;
  readonly #memory: Memory;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  /** Memory for what a single call reads. */
  #scratch = { address: 0, bytes: 0 };
  #stopped = false;
  #endThreads: (() => void) | undefined;

  private constructor(functions: EngineFunctions, memory: Memory) {
    this.#functions = functions;
    this.#memory = memory;
  }

  /**
   * @param bytes the WebAssembly of one variant
   * @param threads the number of threads, this one included; more than one need a page that is isolated from others
   * @throws RuntimeError where it cannot be compiled or is not the engine, or where the threads do not start; MemoryError if there is too
   * little memory
   */
  static async create(bytes: Uint8Array | CompiledModule, threads = 1): Promise<EngineModule> {
    const memory = makeMemory();
    let module: CompiledModule;
    let exported: Readonly<Record<string, unknown>>;
    try {
      module = bytes instanceof Uint8Array ? await webAssembly.compile(bytes) : bytes;
      ({ exports: exported } = await webAssembly.instantiate(module, { env: { memory } }));
    } catch (error) {
      throw new RuntimeError(
        `The engine does not start here (${messageOf(error)}); load the page again, or use another browser.`,
        { cause: error },
      );
    }
    const missing = FUNCTIONS.find((name) => typeof exported[name] !== 'function');
    if (missing)
      throw new RuntimeError(
        `The file is not this version of dino8's engine: it has no ${missing}; export the page again.`,
      );
    const functions = exported as unknown as EngineFunctions; // their types are those of exports.cpp
    functions._initialize();
    const engine = new EngineModule(functions, memory);
    await engine.#startThreads(module, threads - 1);
    return engine;
  }

  async #startThreads(module: CompiledModule, count: number): Promise<void> {
    if (count < 1) return;
    const starts = Array.from({ length: count }, () => {
      const address = this.call('dino8_allocate', STACK_BYTES);
      if (address === 0) throw new MemoryError('There is too little memory for the threads of the engine.');
      return { module, memory: this.#memory, stack: ((address >>> 0) + STACK_BYTES) & ~15 };
    });
    try {
      this.#endThreads = await startThreads(starts);
    } catch (error) {
      throw new RuntimeError(
        `The threads of the engine do not start (${messageOf(error)}); allow \`worker-src blob:\` in the content security policy of the page, or give \`threads\` as 1.`,
        { cause: error },
      );
    }
  }

  /** Ends the threads. No run may be under way. */
  close(): void {
    if (!this.#endThreads) return;
    if (!this.#stopped) this.call('dino8_stop_threads');
    this.#endThreads();
    this.#endThreads = undefined;
  }

  /**
   * True if the engine has an operator.
   * @param domain '' for ONNX's own operators
   */
  hasOperator(domain: string, type: string): boolean {
    const texts = [domain, type].map((text) => this.#encoder.encode(text));
    const [first = 0, second = 0] = texts.map(({ length }) => length);
    const address = this.place(Uint8Array.from(texts.flatMap((bytes) => [...bytes])));
    return this.call('dino8_has_operator', address, first, address + first, second) !== 0;
  }

  /**
   * Calls a function of the engine.
   * @throws EngineFailure if WebAssembly stops, which leaves its memory as it is: no model runs in the module any more
   */
  call<Name extends keyof EngineFunctions>(
    name: Name,
    ...parameters: Parameters<NonNullable<EngineFunctions[Name]>>
  ): ReturnType<NonNullable<EngineFunctions[Name]>> {
    if (this.#stopped) throw new EngineFailure('the engine stopped at an earlier error, and must be created again');
    const called = this.#functions[name] as (...each: unknown[]) => ReturnType<NonNullable<EngineFunctions[Name]>>;
    try {
      return called(...parameters);
    } catch (error) {
      this.#stopped = true;
      const isForMemory = isOutOfMemory(error) || this.#functions.dino8_is_out_of_memory() !== 0;
      throw new EngineFailure(`the engine stopped (${messageOf(error)})`, isForMemory);
    }
  }

  /** The module's memory at an address. The view is valid until the next call. */
  view(address: number, bytes: number): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#memory.buffer, address >>> 0, bytes);
  }

  /** The text at an address, which ends with a 0. */
  text(address: number): string {
    const bytes = new Uint8Array(this.#memory.buffer, address >>> 0);
    // Browsers decode no bytes of memory that threads share.
    return this.#decoder.decode(bytes.slice(0, bytes.indexOf(0)));
  }

  /** Copies bytes into the module's memory, where they are until the next call of this or the following method. @returns their address */
  place(bytes: Uint8Array): number {
    if (bytes.length > this.#scratch.bytes) {
      this.call('dino8_release', this.#scratch.address);
      this.#scratch = { address: 0, bytes: 0 };
      const wanted = 2 * bytes.length;
      const address = this.call('dino8_allocate', wanted);
      if (address === 0) throw new EngineFailure('there is not enough memory');
      this.#scratch = { address, bytes: wanted };
    }
    this.view(this.#scratch.address, bytes.length).set(bytes);
    return this.#scratch.address;
  }

  /** Copies a text into the module's memory. @returns its address and the number of its bytes */
  placeText(text: string): readonly [address: number, bytes: number] {
    const bytes = this.#encoder.encode(text);
    return [this.place(bytes), bytes.length];
  }
}
