/** The check of a model before it is written: what its runtime cannot load, or computes wrongly, is not written. */
import { InputError, messageOf } from '../base/errors.ts';
import type { Model } from '../onnx/read.ts';
import { readPlanSummary } from '../quant/plan-summary.ts';
import { lintOperators } from '../quant/targets/lint-operators.ts';
import type { QuantizationTarget } from '../quant/targets/target.ts';
import { TARGETS } from '../quant/targets/targets.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';

/** A runtime that a model is for, and its version; by default all versions that the target's models are made for. */
export interface CheckedRuntime {
  readonly target: QuantizationTarget;
  readonly version?: string | undefined;
}

/**
 * Loads a model in ONNX Runtime, as every target's models can be, and reads it by the table of the target that it was
 * quantized for.
 *
 * @param output names the model in errors
 * @param runtime by default that of the target that the model was quantized for
 * @throws InputError if the model does not load, or if its target refuses it or computes something else
 */
export async function checkModel(model: Model, output: string, runtime = runtimeOf(model)): Promise<void> {
  if (runtime) checkByTable(model, output, runtime);
  try {
    // Weights are not rearranged for a single run that does not come.
    const config = { 'session.disable_prepacking': '1' };
    await using _ = await Session.create(model, { ...kernelOptions(), config }, output);
  } catch (error) {
    throw new InputError(`${output} is not written, because ONNX Runtime does not load it: ${messageOf(error)}`);
  }
}

function runtimeOf(model: Model): CheckedRuntime | undefined {
  const name = readPlanSummary(model)?.target;
  const target = TARGETS.find((each) => each.name === name);
  return target && { target };
}

/**
 * Reads a model by the table of the target that it was quantized for, if it was.
 * @throws InputError if the runtime refuses it or computes something else
 */
export function checkOwnTable(model: Model, output: string): void {
  const runtime = runtimeOf(model);
  if (runtime) checkByTable(model, output, runtime);
}

/** Reads a model by the table of its runtime. @throws InputError if the runtime refuses it or computes something else */
export function checkByTable(model: Model, output: string, { target, version }: CheckedRuntime): void {
  if (!target.operators) return;
  const broken = lintOperators(model, target.operators, version).filter(({ effect }) => effect !== 'float');
  const [first] = broken;
  if (first)
    throw new InputError(
      `${output} is not written, because ${target.operators.runtime} would refuse or miscompute it in ${broken.length} places; the first is ${first.node}: ${first.problem}, by ${first.source}; quantize the float model for the target ${target.name} again.`,
    );
}
