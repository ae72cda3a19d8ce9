/** Results of a run by name, whoever made them: a session's `Outputs` are such results. */
import type { Tensor } from '../runtime/tensor.ts';

/** Results of a run of a model. */
export interface NamedOutputs {
  /** The names of all outputs. */
  readonly names: readonly string[];
  /** The result called `name`. @throws RuntimeError if there is none */
  get(name: string): Tensor;
}

/**
 * Some of the results of a run under other names.
 *
 * @param names from the new name of each result to its name in `outputs`
 */
export function renamedOutputs(outputs: NamedOutputs, names: ReadonlyMap<string, string>): NamedOutputs {
  return { names: [...names.keys()], get: (name) => outputs.get(names.get(name) ?? name) };
}
