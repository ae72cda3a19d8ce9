/** onnxruntime-web, which a page brings along: which of its builds is loaded, and from where, is the page's decision. */
import type { env, InferenceSession, Tensor } from 'onnxruntime-web';
import { UsageError } from '../base/errors.ts';
import { possibleThreads } from './possible-threads.ts';

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

/**
 * Sets the number of threads of a runtime.
 * @param asked undefined takes one for each core, or a single one where threads are not possible
 * @returns the number
 * @throws UsageError if more than one are asked for on a page without isolation, or if the runtime runs with another number
 */
export function useThreads({ env: { wasm } }: OnnxRuntimeWeb, asked: number | undefined): number {
  const running = started.get(wasm);
  const threads = possibleThreads(asked);
  if (running !== undefined && asked !== undefined && asked !== running)
    throw new UsageError(
      `\`threads\` is ${asked}, but this page's ONNX Runtime was started with ${running}, which cannot be changed later; give every detector of a page the same number.`,
    );
  if (running !== undefined) return running;
  wasm.numThreads = threads;
  started.set(wasm, threads);
  return threads;
}
