/** A quantized model against the float one it was made from: layer by layer, box by box, image by image. */
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationItem } from '../data/calibration-plan.ts';
import { calibrationFeeds } from '../detect/calibration-feeds.ts';
import { renamedOutputs } from '../models/named-outputs.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import { comparableValues, ENERGIES, jointModel, quantizedName } from '../quant/joint-model.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Outputs, Session } from '../runtime/session.ts';
import { floatData } from '../runtime/tensor.ts';

/** Signal-to-quantization-noise of a layer's results: 10 log₁₀(Σ x² / Σ (x − x̂)²), in decibels. */
export interface LayerNoise {
  readonly path: string;
  readonly decibels: number;
}

/** How far the queries that found something moved; both models select the same queries. */
export interface MatchedBoxes {
  /** Queries for which the float model found something. */
  readonly queries: number;
  /** Mean intersection over union of the boxes. */
  readonly overlap: number;
  /** Mean difference of the scores. */
  readonly scoreError: number;
}

export interface ImageDifference extends MatchedBoxes {
  readonly path: string;
}

export interface Comparison extends MatchedBoxes {
  /** In the order in which they are computed. */
  readonly layers: readonly LayerNoise[];
  /** The worst first. */
  readonly images: readonly ImageDifference[];
}

export interface CompareOptions extends WorkOptions {
  /** Leave out the layers, which cost a pass over every result. */
  readonly boxesOnly?: boolean;
  readonly label?: string;
}

/** @throws RuntimeError if one of the models does not run */
export async function compareModels(
  source: ModelPackage,
  quantized: Model,
  items: readonly CalibrationItem[],
  { boxesOnly = false, label = 'Comparing', onProgress, signal }: CompareOptions = {},
): Promise<Comparison> {
  const values = boxesOnly ? [] : comparableValues(source.model, quantized);
  const joint = jointModel(
    source.model,
    quantized,
    values.map(({ value }) => value),
  );
  await using session = await Session.create(modelBytes(joint), kernelOptions());
  const names = source.model.graph.output.map(({ name }) => name);
  const quantizedNames = new Map(names.map((name) => [name, quantizedName(name)]));
  const differenceOf = (outputs: Outputs): MatchedBoxes => {
    const { count, figures } = source.family.compareOutputs(outputs, renamedOutputs(outputs, quantizedNames));
    const { overlap = 1, scoreError = 0 } = figures;
    return { queries: count, overlap, scoreError };
  };
  const energies = new Float64Array(2 * values.length);
  const images: ImageDifference[] = [];
  for await (const { place, feeds } of calibrationFeeds(source, items)) {
    signal?.throwIfAborted();
    onProgress?.({ label, done: images.length, total: items.length });
    using outputs = await session.run(feeds);
    if (values.length > 0)
      for (const [index, energy] of floatData(outputs.get(ENERGIES)).entries())
        energies[index] = (energies[index] ?? 0) + energy;
    images.push({ path: items.find((item) => item.place === place)?.path ?? '', ...differenceOf(outputs) });
  }
  onProgress?.({ label, done: items.length, total: items.length });
  const layers = values.map(({ path }, index) => ({
    path,
    decibels: 10 * Math.log10((energies[2 * index] ?? 0) / Math.max(energies[2 * index + 1] ?? 0, Number.MIN_VALUE)),
  }));
  const found = images.filter(({ queries }) => queries > 0);
  const queries = found.reduce((sum, image) => sum + image.queries, 0);
  const mean = (of: (image: ImageDifference) => number) =>
    found.reduce((sum, image) => sum + of(image) * image.queries, 0) / Math.max(queries, 1);
  return {
    layers,
    images: images.toSorted((a, b) => damage(b) - damage(a)),
    queries,
    overlap: queries > 0 ? mean(({ overlap }) => overlap) : 1,
    scoreError: mean(({ scoreError }) => scoreError),
  };
}

/** What quantization did to some queries, as one number: 0 if nothing. */
export const damage = ({ overlap, scoreError }: Pick<MatchedBoxes, 'overlap' | 'scoreError'>): number =>
  1 - overlap + scoreError;
