/** The values that a calibration observes if it is not made for one recipe. */
import { checkModelArgument } from '../onnx/check-model.ts';
import type { Model } from '../onnx/read.ts';
import { sourceOf } from './observe/same-values.ts';
import { observedPorts } from './operators/operator.ts';
import { factsOf, findQuantizable } from './operators/operators.ts';

/**
 * The values whose ranges a recipe may need, each once, under the name of the value that they are an arrangement of.
 *
 * @param everything true to include the values that few recipes quantize, such as the products within the heads of an
 * attention and residual sums, which about double the number of values
 * @example
 * const statistics = await calibrate(model, observableValues(model), samples);
 */
export function observableValues(model: Model, everything = false): string[] {
  checkModelArgument(model);
  const graph = factsOf(model);
  const wanted = findQuantizable(model, graph).filter((each) => everything || each.isObservedByDefault);
  const ordered = [...wanted.filter(({ weight }) => weight), ...wanted.filter(({ weight }) => !weight)];
  const values = ordered.flatMap((each) =>
    observedPorts(each)
      .map(({ side, index }) => each.node[side][index] ?? '')
      .filter((name) => name !== ''),
  );
  return [...new Set(values.map((name) => sourceOf(name, graph.index)))];
}
