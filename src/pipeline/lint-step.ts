/** The step that looks for quantized places of a model that its runtime does not compute in integers. */
import type { Defaults } from '../base/defaults.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { LintReport } from '../quant/targets/target.ts';
import { findTarget } from '../quant/targets/targets.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type ThreadOptions, withThreads } from '../runtime/threads.ts';
import { type BlankInputOptions, blankInputs } from './blank-inputs.ts';
import { type AnyModelSource, openAnyModel } from './sources.ts';

/** Options of `lint`. */
export interface LintStepOptions extends WorkOptions, BlankInputOptions, ThreadOptions {
  /** The quantized model. */
  readonly model: AnyModelSource;
  /** The name of the runtime that the model was made for; `ort-cpu` by default, for which the model is run. */
  readonly target?: string | undefined;
}

/** The defaults of `LintStepOptions`. */
export const LINT_DEFAULTS: Defaults<LintStepOptions, 'target'> = { target: 'ort-cpu' };

/** The result of `lint`. */
export interface LintStepResult extends LintReport {
  /** The name of the target. */
  readonly target: string;
}

/**
 * Checks a quantized model against its runtime.
 *
 * @throws UsageError if there is no such target; RuntimeError if the model does not run
 * @example
 * const { findings } = await lint({ model: 'tiny.int8.onnx' });
 */
export async function lint(options: LintStepOptions): Promise<LintStepResult> {
  return withThreads(options.threads, async () => {
    const { target = LINT_DEFAULTS.target, signal } = options;
    const source = await openAnyModel(options.model, { onNotice: options.onNotice });
    signal?.throwIfAborted();
    const feeds = () => blankInputs(source, options);
    return { target, ...(await findTarget(target).lint(source.model, { feeds, session: kernelOptions() })) };
  });
}
