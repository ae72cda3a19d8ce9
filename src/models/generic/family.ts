/** The family of any ONNX model: nothing is known about it but its graph. */
import { UsageError } from '../../base/errors.ts';
import type { Model } from '../../onnx/read.ts';
import { viewAs } from '../../onnx/tensor.ts';
import { byteLength, elementCount } from '../../onnx/types.ts';
import { NO_RULES } from '../../quant/observe/sample.ts';
import type { Feeds } from '../../runtime/session.ts';
import { type Tensor, tensor } from '../../runtime/tensor.ts';
import type { BlankFeedOptions, LoadedModel, ModelFamily, OutputDifference, OutputFigure } from '../family.ts';
import type { NamedOutputs } from '../named-outputs.ts';
import { describeShape, modelInputs } from './check-feeds.ts';
import { prepareModel } from './prepare-model.ts';

/** The highest rank of an output that is taken for scores of classes. */
const SCORES_RANK = 3;

/** Below this relative error a ratio of squared sums is rounding noise of the comparison itself. */
const SMALLEST_ERROR = 1e-10;

const outputFigures: readonly OutputFigure[] = [
  { key: 'relativeError', title: 'relative error', perfect: 0 },
  { key: 'decibels', title: 'signal to noise (dB)', perfect: -20 * Math.log10(SMALLEST_ERROR) },
  { key: 'agreement', title: 'agreement', perfect: 1 },
];

/**
 * - `relativeError`: ‖x − x̂‖ / ‖x‖ over all outputs of floating-point numbers; `decibels`: the same as −20 log₁₀
 * - `agreement`: the fraction of equal decisions: which of the numbers along the last dimension is the largest in a float
 *   output of at most three dimensions, and each number of an integer output; 1 if there are no decisions
 */
function compareOutputs(float: NamedOutputs, quantized: NamedOutputs): OutputDifference {
  let [signal, noise, equal, decisions] = [0, 0, 0, 0];
  for (const name of float.names) {
    const parts = compareTensors(float.get(name), quantized.get(name));
    signal += parts.signal;
    noise += parts.noise;
    equal += parts.equal;
    decisions += parts.decisions;
  }
  const relativeError = Math.sqrt(noise / Math.max(signal, Number.MIN_VALUE));
  const decibels = -20 * Math.log10(Math.max(relativeError, SMALLEST_ERROR));
  return { count: 1, figures: { relativeError, decibels, agreement: decisions === 0 ? 1 : equal / decisions } };
}

/** Outputs are few numbers beside the values within the model, and are in JavaScript's memory already: a loop will do. */
function compareTensors({ data, shape }: Tensor, { data: other }: Tensor) {
  let [signal, noise, equal, decisions] = [0, 0, 0, 0];
  if (!(data instanceof Float32Array && other instanceof Float32Array)) {
    for (const [index, value] of data.entries()) if (value === other[index]) equal++;
    return { signal, noise, equal, decisions: data.length };
  }
  for (const [index, value] of data.entries()) {
    signal += value ** 2;
    noise += (value - (other[index] ?? Number.NaN)) ** 2;
  }
  // Scores are [batch, classes] or [batch, positions, classes]; in a map the last dimension is a place, not a class.
  const width = shape.length <= SCORES_RANK ? (shape.at(-1) ?? 1) : 1;
  for (let start = 0; width > 1 && start < data.length; start += width) {
    decisions++;
    if (largestOf(data, start, width) === largestOf(other, start, width)) equal++;
  }
  return { signal, noise, equal, decisions };
}

/** The place of the largest of some numbers; the first of equal ones. */
function largestOf(data: Float32Array, start: number, count: number): number {
  let best = start;
  for (let index = start + 1; index < start + count; index++) if ((data[index] ?? 0) > (data[best] ?? 0)) best = index;
  return best;
}

/** Zeros for every input, in the shapes that the model states or the caller does. */
function blankFeeds({ model, source }: LoadedModel, { tokens, shapes }: BlankFeedOptions = {}): Feeds {
  if (tokens !== undefined) throw new UsageError(`${source} has no prompt, so that a number of tokens means nothing.`);
  const inputs = modelInputs(model);
  for (const name of shapes?.keys() ?? [])
    if (!inputs.has(name)) throw new UsageError(`${source} has no input ${name}.`);
  return Object.fromEntries(
    [...inputs].map(([name, { type, shape }]) => {
      const known = shapes?.get(name) ?? shape?.filter((dimension) => typeof dimension === 'number');
      if (!known || (shape && known.length !== shape.length))
        throw new UsageError(`The input ${name} of ${source} is ${describeShape(shape)}; state the shape to use.`);
      const length = byteLength(type, elementCount(known));
      if (length === undefined)
        throw new UsageError(`The input ${name} of ${source} is of a type that dino8 cannot give.`);
      const bytes = new Uint8Array(length);
      return [name, tensor(viewAs(type, bytes), known, type)];
    }),
  );
}

/** The generic family. */
export const generic: ModelFamily = {
  name: 'generic',
  observation: NO_RULES,
  sensitiveParts: [],
  modules: [],
  outputFigures,
  compareOutputs,
  outputLoss: ({ relativeError = 0 }) => relativeError,
  blankFeeds,
};

/**
 * A model read from a file that says nothing about its family, in the form that dino8 works on.
 *
 * @throws InputError if the model uses an operator of an old version for which there is no conversion
 */
export async function openGeneric(source: string, model: Model): Promise<LoadedModel> {
  await prepareModel(model, source);
  return { source, model, family: generic };
}
