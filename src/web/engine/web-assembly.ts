/**
 * The parts of WebAssembly's JavaScript interface (https://webassembly.github.io/spec/js-api/) that the engine uses. TypeScript has its
 * types for browsers alone, and Node.js has the interface too.
 */

/** A compiled module: a `WebAssembly.Module`. */
export type CompiledModule = object;

/** Memory that grows. A view of `buffer` does not see what it has grown by. */
export interface Memory {
  readonly buffer: ArrayBuffer;
}

interface WebAssemblyInterface {
  validate(bytes: Uint8Array): boolean;
  compile(bytes: Uint8Array): Promise<CompiledModule>;
  instantiate(
    module: CompiledModule,
    imports: object,
  ): Promise<{ readonly exports: Readonly<Record<string, unknown>> }>;
  readonly Memory: new (limits: { initial: number; maximum: number; shared: boolean }) => Memory;
}

const scope = globalThis as unknown as { readonly WebAssembly: WebAssemblyInterface }; // other members have types already

/** The global object `WebAssembly`. */
export const webAssembly: WebAssemblyInterface = scope.WebAssembly;
