/** The step that looks for quantized places of a model that its runtime does not compute in integers. */

import { extname } from 'node:path';
import { type OptionSchemas, optional, text } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { readModel } from '../onnx/read.ts';
import type { LintReport } from '../quant/targets/target.ts';
import { findTarget } from '../quant/targets/targets.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import { type BlankInputOptions, blankInputs } from './blank-inputs.ts';
import { blankInputSchemas, modelSchema, threadSchemas, workSchemas } from './option-schemas.ts';
import { runStep } from './run-step.ts';
import { type AnyModelSource, openAnyModel } from './sources.ts';

/** Options of `lint`. */
export interface LintStepOptions extends WorkOptions, BlankInputOptions, ThreadOptions {
  /** The quantized model. */
  readonly model: AnyModelSource;
  /** The name of the runtime that the model was made for; `ort-cpu` by default, for which the model is run. */
  readonly target?: string | undefined;
  /** The version of the runtime, such as `8.5`; by default all versions that the target's models are made for. */
  readonly version?: string | undefined;
}

/** The defaults of `LintStepOptions`. */
export const LINT_DEFAULTS: Defaults<LintStepOptions, 'target'> = { target: 'ort-cpu' };

const schemas: OptionSchemas<LintStepOptions> = {
  ...workSchemas,
  ...blankInputSchemas,
  ...threadSchemas,
  model: modelSchema,
  target: optional(text),
  version: optional(text),
};

/** Linters that read tables run nothing. They see the file as it is, not as dino8 reads it. */
const noFeeds = () => ({});

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
  return runStep('lint', schemas, options, async () => {
    const { target = LINT_DEFAULTS.target, version, signal } = options;
    const { operators, lint: lintFor } = findTarget(target);
    if (version !== undefined && !operators)
      throw new UsageError(`dino8 knows no versions of the target ${target}; leave the version out.`);
    signal?.throwIfAborted();
    if (operators && typeof options.model === 'string' && extname(options.model) === '.onnx')
      return { target, ...(await lintFor(await readModel(options.model), { feeds: noFeeds, version })) };
    const source = await openAnyModel(options.model, { onNotice: options.onNotice });
    const feeds = () => blankInputs(source, options);
    return { target, ...(await lintFor(source.model, { feeds, version, session: kernelOptions() })) };
  });
}
