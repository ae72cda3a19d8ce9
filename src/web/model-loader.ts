/** What loads the models of a package: dino8's engine, or onnxruntime-web. */
import { UsageError } from '../base/errors.ts';
import type { ModelRunner } from '../runtime/model-runner.ts';
import { EngineModule } from './engine/engine-module.ts';
import { EngineSession } from './engine/engine-session.ts';
import type { Backend, WebPackage } from './manifest.ts';
import { type OnnxRuntimeWeb, useThreads } from './onnx-runtime.ts';
import { possibleThreads } from './possible-threads.ts';
import { WebSession } from './web-session.ts';

/** Loads models. */
export interface ModelLoader {
  /** The number of threads on which they run. */
  readonly threads: number;
  /**
   * Loads a model.
   * @param steadyInputs names of inputs that are the same in most runs. The engine computes what depends on them alone only if they
   * change; onnxruntime-web computes it in each run
   */
  load(model: Uint8Array, backend: Backend, steadyInputs?: readonly string[]): Promise<ModelRunner>;
  /** Frees what the models share, after they were closed. */
  close(): void;
}

/** How a detector is asked to run. */
interface LoaderOptions {
  readonly runtime?: OnnxRuntimeWeb | undefined;
  readonly threads?: number | undefined;
}

/**
 * The loader for a package: the engine that it brings along, or else onnxruntime-web.
 * @throws UsageError if the package needs onnxruntime-web, and none was given, or if so many threads are not possible
 */
export async function loaderOf({ engine, source }: WebPackage, options: LoaderOptions): Promise<ModelLoader> {
  if (engine) {
    const threads = possibleThreads(options.threads);
    const module = await EngineModule.create(engine, threads);
    return {
      threads,
      load: (model, _backend, steadyInputs) => EngineSession.create(module, model, source, steadyInputs),
      close: () => module.close(),
    };
  }
  const { runtime } = options;
  if (!runtime)
    throw new UsageError(
      `${source} runs by onnxruntime-web: give Detector.create the option \`runtime\`, which is what \`import * as runtime from 'onnxruntime-web/wasm'\` gives.`,
    );
  return {
    threads: useThreads(runtime, options.threads),
    load: (model, backend) => WebSession.create(runtime, model, backend, source),
    close: () => undefined,
  };
}
