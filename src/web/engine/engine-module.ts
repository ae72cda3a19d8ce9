/** The engine: a module of WebAssembly that runs quantized models (kernels/engine/), with its memory. */
import { isOutOfMemory, messageOf } from '../../base/errors.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { type EngineFunctions, FUNCTIONS } from './engine-functions.ts';
import { type CompiledModule, type Memory, webAssembly } from './web-assembly.ts';

export { type EngineVariant, supportedVariants } from './engine-variants.ts';

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

  private constructor(functions: EngineFunctions, memory: Memory) {
    this.#functions = functions;
    this.#memory = memory;
  }

  /**
   * @param bytes the WebAssembly of one variant
   * @throws RuntimeError where it cannot be compiled or is not the engine
   */
  static async create(bytes: Uint8Array | CompiledModule): Promise<EngineModule> {
    let exported: Readonly<Record<string, unknown>>;
    try {
      const module = bytes instanceof Uint8Array ? await webAssembly.compile(bytes) : bytes;
      ({ exports: exported } = await webAssembly.instantiate(module, {}));
    } catch (error) {
      throw new RuntimeError(
        `The engine does not start here (${messageOf(error)}); load the page again, or use another browser.`,
        { cause: error },
      );
    }
    const { memory } = exported;
    const missing = FUNCTIONS.find((name) => typeof exported[name] !== 'function');
    if (missing || !(memory instanceof webAssembly.Memory))
      throw new RuntimeError(
        `The file is not this version of dino8's engine: it has no ${missing ?? 'memory'}; export the page again.`,
      );
    const functions = exported as unknown as EngineFunctions; // their types are those of exports.cpp
    functions._initialize();
    return new EngineModule(functions, memory);
  }

  /**
   * False if this processor computes the relaxed instructions in another way than the engine needs: the variant `simd` must be taken
   * then.
   */
  get isExact(): boolean {
    return this.#functions.dino8_relaxed_dot_is_exact?.() !== 0;
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
    return this.#decoder.decode(bytes.subarray(0, bytes.indexOf(0)));
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
