/** Compares a quantized model with the float model it was made from: layer by layer, and output by output. */

import {
  abortSignal,
  callback,
  checkOptions,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
  text,
  truth,
} from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { TokenDifference } from '../models/detection-family.ts';
import {
  checkLoadedArgument,
  detectionOf,
  type LoadedModel,
  type OutputDifference,
  type OutputFigure,
} from '../models/family.ts';
import { renamedOutputs } from '../models/named-outputs.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import { comparableValues, jointModel, quantizedName, SQUARED_SUMS } from '../quant/joint-model.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';
import { floatData } from '../runtime/tensor.ts';
import { addTokens, type ComparedPrompt, type PhraseDrift, phraseDrifts } from './token-drift.ts';

/** The noise that quantization adds up to a layer. */
export interface LayerNoise {
  /** The module path of the layer. */
  readonly path: string;
  /**
   * The signal-to-quantization-noise ratio of the layer's results over all samples, 10 log₁₀(Σ x² / Σ (x − x̂)²), in
   * decibels. Higher is better; at 20 dB the noise has a tenth of the amplitude of the signal. It is infinite without any noise,
   * which JSON writes as null.
   */
  readonly decibels: number;
}

/** The change of the outputs for one sample. */
export interface SampleDifference extends OutputDifference {
  /** The file that the sample came from. */
  readonly source: string;
}

/** The result of `compareModels`. */
export interface Comparison extends OutputDifference {
  /** Every layer that both models have, in the order of computation; empty with `outputsOnly`. */
  readonly layers: readonly LayerNoise[];
  /** Every sample, the one whose outputs changed most first. */
  readonly samples: readonly SampleDifference[];
  /** The change of the outputs by quantization as one number, which is 0 if they are equal. */
  readonly loss: number;
  /** The meaning of `figures`, in the order in which tables show them. */
  readonly outputFigures: readonly OutputFigure[];
  /** How far the logits of each phrase moved, the phrase that moved most first; undefined without a `prompt`. */
  readonly phrases?: readonly PhraseDrift[] | undefined;
}

/** Options of `compareModels`. */
export interface CompareOptions extends WorkOptions {
  /** Compares only the outputs: layers cost a pass over each of their results. Default: false. */
  readonly outputsOnly?: boolean;
  /** The name of the work in progress reports. Default: "Comparing". */
  readonly label?: string;
  /** The prompt of all samples, to compare the logits of its phrases, for a detector. */
  readonly prompt?: ComparedPrompt | undefined;
}

const compareModelsSchemas: OptionSchemas<CompareOptions> = {
  outputsOnly: optional(truth),
  label: optional(text),
  prompt: optional(objectWith('an object with phrases and a chunk', 'phrases', 'chunk')),
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

/**
 * Runs both models on the same samples, as one graph. The quantized model uses the selections that the float model makes
 * by TopK, such as queries, since one flipped selection would make all later values incomparable.
 * @param float the float model
 * @param quantized the model that was quantized from it
 * @throws UsageError if the models have other inputs or outputs, and RuntimeError if one of them does not run
 * @example
 * const { figures, layers } = await compareModels(source, quantized, calibrationSamples(source, everyImage(dataset)));
 */
export async function compareModels(
  float: LoadedModel,
  quantized: Model,
  samples: SampleSource,
  options: CompareOptions = {},
): Promise<Comparison> {
  checkLoadedArgument(float);
  checkModelArgument(quantized);
  checkValue('The samples', objectWith('samples', 'samples', 'total', 'key'), samples);
  checkOptions('compareModels', compareModelsSchemas, options);
  const { outputsOnly = false, label = 'Comparing', prompt, onProgress, signal } = options;
  const { family } = float;
  checkBelongs(float, quantized);
  const values = outputsOnly ? [] : comparableValues(float.model, quantized);
  const joint = jointModel(
    float.model,
    quantized,
    values.map(({ value }) => value),
  );
  await using session = await Session.create(modelBytes(joint), kernelOptions());
  const names = float.model.graph.output.map(({ name }) => name);
  // A run of the joint model gives the outputs of both models, and the squared sums of layers.
  const floatNames = new Map(names.map((name) => [name, name]));
  const quantizedNames = new Map(names.map((name) => [name, quantizedName(name)]));
  const squaredSums = new Float64Array(2 * values.length);
  const differences: SampleDifference[] = [];
  const detection = prompt && detectionOf(float);
  let tokens: readonly TokenDifference[] | undefined;
  for await (const { feeds, source = '' } of samples.samples()) {
    signal?.throwIfAborted();
    onProgress?.({ label, done: differences.length, total: samples.total });
    using outputs = await session.run(feeds, { signal });
    if (values.length > 0)
      for (const [index, sum] of floatData(outputs.get(SQUARED_SUMS)).entries())
        squaredSums[index] = (squaredSums[index] ?? 0) + sum;
    const [before, after] = [renamedOutputs(outputs, floatNames), renamedOutputs(outputs, quantizedNames)];
    differences.push({ source, ...family.compareOutputs(before, after) });
    if (prompt && detection) tokens = addTokens(tokens, detection.compareTokens(before, after, prompt.chunk));
  }
  onProgress?.({ label, done: samples.total, total: samples.total });
  const { count, figures } = meanDifference(differences, family.outputFigures);
  return {
    layers: values.map(({ path }, index) => {
      const [signal = 0, noise = 0] = squaredSums.subarray(2 * index);
      return { path, decibels: noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise) };
    }),
    samples: differences.toSorted((a, b) => family.outputLoss(b.figures) - family.outputLoss(a.figures)),
    count,
    figures,
    loss: family.outputLoss(figures),
    outputFigures: family.outputFigures,
    phrases: prompt && tokens && phraseDrifts(tokens, prompt),
  };
}

/** @throws UsageError if the quantized model lacks an output of the float model, or has an input that it lacks */
function checkBelongs({ source, model }: LoadedModel, quantized: Model): void {
  const names = (values: Model['graph']['input']) => new Set(values.map(({ name }) => name));
  const [inputs, outputs] = [names(model.graph.input), names(quantized.graph.output)];
  const unknown = quantized.graph.input.find(({ name }) => !inputs.has(name));
  const missing = model.graph.output.find(({ name }) => !outputs.has(name));
  if (!unknown && !missing) return;
  const difference = unknown ? `has the input ${unknown.name}` : `lacks the output ${missing?.name}`;
  throw new UsageError(
    `The quantized model ${difference}, unlike ${source}; compare a model with one that was quantized from it.`,
  );
}

/** The mean of each figure over the samples, weighted by the number of things that a sample compares. */
function meanDifference(
  differences: readonly OutputDifference[],
  outputFigures: readonly OutputFigure[],
): OutputDifference {
  const counted = differences.filter(({ count }) => count > 0);
  const total = counted.reduce((sum, { count }) => sum + count, 0);
  const figures = outputFigures.map(({ key, perfect }) => {
    const sum = counted.reduce((partial, { count, figures }) => partial + (figures[key] ?? perfect) * count, 0);
    return [key, total > 0 ? sum / total : perfect] as const;
  });
  return { count: total, figures: Object.fromEntries(figures) };
}
