/** The step that looks for quantized places of a model that its runtime does not compute in integers. */
import type { WorkOptions } from '../base/progress.ts';
import type { LintReport } from '../quant/targets/target.ts';
import { findTarget } from '../quant/targets/targets.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type ModelSource, openModel } from './sources.ts';

/** Options of `lint`. */
export interface LintStepOptions extends WorkOptions {
  /** The quantized model. */
  readonly model: ModelSource;
  /** The name of the runtime that the model was made for; `ort-cpu` by default, for which the model is run. */
  readonly target?: string | undefined;
  /** Tokens of the prompt, for targets that run the model; 32 by default. */
  readonly tokens?: number | undefined;
}

/** The defaults of `LintStepOptions`. */
export const LINT_DEFAULTS = { target: 'ort-cpu', tokens: 32 } as const;

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
  const { target = LINT_DEFAULTS.target, tokens = LINT_DEFAULTS.tokens, signal } = options;
  const source = await openModel(options.model);
  signal?.throwIfAborted();
  const feeds = () => source.family.blankFeeds(source, { tokens });
  return { target, ...(await findTarget(target).lint(source.model, { feeds, session: kernelOptions() })) };
}
