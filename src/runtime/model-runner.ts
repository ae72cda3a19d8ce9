/** What runs a model, whichever form of ONNX Runtime it is: `Session` in Node.js, and that of onnxruntime-web in a browser. */
import type { TensorInfo } from '../onnx/types.ts';
import type { Feeds } from './session.ts';
import type { Tensor } from './tensor.ts';

/** The results of a run. They are valid until they are disposed of. */
export interface RunResults extends Disposable {
  /** The names of all outputs. */
  readonly names: readonly string[];
  /** The result called `name`. @throws RuntimeError if there is none */
  get(name: string): Tensor;
  /** Frees the memory of the results. */
  dispose(): void;
}

/** A loaded model that runs. */
export interface ModelRunner {
  /** The inputs of the model. */
  readonly inputs: ReadonlyMap<string, TensorInfo>;
  /** Runs the model. @throws RuntimeError if it does not run; the reason of `signal` if that stopped the run */
  run(feeds: Feeds, options?: { readonly signal?: AbortSignal | undefined }): Promise<RunResults>;
  /** Waits for the runs that are under way, and frees the model. */
  close(): Promise<void>;
}
