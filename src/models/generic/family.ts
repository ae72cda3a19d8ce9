/** The family of any ONNX model: nothing is known about it but its graph. */
import { UsageError } from '../../base/errors.ts';
import type { Model } from '../../onnx/read.ts';
import { viewAs } from '../../onnx/tensor.ts';
import { byteLength, elementCount } from '../../onnx/types.ts';
import { NO_RULES } from '../../quant/observe/sample.ts';
import type { Feeds } from '../../runtime/session.ts';
import { tensor } from '../../runtime/tensor.ts';
import type { BlankFeedOptions, LoadedModel, ModelFamily, OutputDifference, OutputFigure } from '../family.ts';
import type { NamedOutputs } from '../named-outputs.ts';
import { describeShape, modelInputs } from './check-feeds.ts';

const outputFigures: readonly OutputFigure[] = [{ key: 'relativeError', title: 'relative error', perfect: 0 }];

/** ‖x − x̂‖ / ‖x‖ over all outputs of floating-point numbers. */
function compareOutputs(float: NamedOutputs, quantized: NamedOutputs): OutputDifference {
  let [signal, noise] = [0, 0];
  // Outputs are few numbers beside the values within the model, and are in JavaScript's memory already.
  for (const name of float.names) {
    const [{ data }, { data: other }] = [float.get(name), quantized.get(name)];
    if (!(data instanceof Float32Array)) continue;
    for (const [index, value] of data.entries()) {
      signal += value ** 2;
      noise += (value - Number(other[index])) ** 2;
    }
  }
  return { count: 1, figures: { relativeError: Math.sqrt(noise / Math.max(signal, Number.MIN_VALUE)) } };
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
  outputFigures,
  compareOutputs,
  outputLoss: ({ relativeError = 0 }) => relativeError,
  blankFeeds,
};

/** A model read from a file that says nothing about its family. */
export function openGeneric(source: string, model: Model): Promise<LoadedModel> {
  return Promise.resolve({ source, model, family: generic });
}
