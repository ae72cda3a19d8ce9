/** onnxruntime-web, which a page brings along: which of its builds is loaded, and from where, is the page's decision. */
import type { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { UsageError } from '../base/errors.ts';

/** The parts of onnxruntime-web that are used: `import * as runtime from 'onnxruntime-web/wasm'` has them, and its other builds too. */
export interface OnnxRuntimeWeb {
  /** The settings of the library. */
  readonly env: typeof env;
  /** The class of loaded models. */
  readonly InferenceSession: typeof InferenceSession;
  /** The class of tensors. */
  readonly Tensor: typeof Tensor;
}

/** The number of threads that each runtime was started with: it cannot change later. */
const started = new WeakMap<object, number>();

/** More threads than this wait for each other more than they help. */
const MOST_THREADS = 8;

/** What is read of a browser's global scope, of which Node.js has a part. */
interface BrowserScope {
  readonly crossOriginIsolated?: boolean;
  readonly navigator?: { readonly hardwareConcurrency?: number };
}
const scope = globalThis as BrowserScope; // Node.js has other members

/**
 * Whether ONNX Runtime may use several threads here. They share memory, which browsers allow only to pages that are isolated from others.
 * @example
 * if (!canUseThreads()) console.log('The server does not send the headers that allow threads.');
 */
export const canUseThreads = (): boolean => scope.crossOriginIsolated === true;

/**
 * Sets the number of threads of a runtime.
 * @param asked undefined takes one for each core, or a single one where threads are not possible
 * @returns the number
 * @throws UsageError if more than one are asked for on a page without isolation, or if the runtime runs with another number
 */
export function useThreads({ env: { wasm } }: OnnxRuntimeWeb, asked: number | undefined): number {
  const running = started.get(wasm);
  if (asked !== undefined && asked > 1 && !canUseThreads())
    throw new UsageError(
      `\`threads\` is ${asked}, but this page may use a single thread, because it is not isolated; have the server send the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, or leave \`threads\` out.`,
    );
  if (running !== undefined && asked !== undefined && asked !== running)
    throw new UsageError(
      `\`threads\` is ${asked}, but this page's ONNX Runtime was started with ${running}, which cannot be changed later; give every detector of a page the same number.`,
    );
  if (running !== undefined) return running;
  const cores = canUseThreads() ? (scope.navigator?.hardwareConcurrency ?? 1) : 1;
  const threads = asked ?? Math.min(MOST_THREADS, cores);
  wasm.numThreads = threads;
  started.set(wasm, threads);
  return threads;
}
