/** A quantized model against the float one it was made from: layer by layer, box by box, image by image. */
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationItem } from '../data/calibration-plan.ts';
import { calibrationFeeds } from '../detect/calibration-feeds.ts';
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
  /** Queries that the float model gives a score of at least `LEAST_SCORE`. */
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

const LEAST_SCORE = 0.25;

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
  const energies = new Float64Array(2 * values.length);
  const images: ImageDifference[] = [];
  for await (const { place, feeds } of calibrationFeeds(source, items)) {
    signal?.throwIfAborted();
    onProgress?.({ label, done: images.length, total: items.length });
    using outputs = await session.run(feeds);
    if (values.length > 0)
      for (const [index, energy] of floatData(outputs.get(ENERGIES)).entries())
        energies[index] = (energies[index] ?? 0) + energy;
    images.push({ path: items.find((item) => item.place === place)?.path ?? '', ...matchBoxes(outputs) });
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

function matchBoxes(outputs: Outputs): MatchedBoxes {
  const [boxes, otherBoxes] = ['pred_boxes', quantizedName('pred_boxes')].map((name) => floatData(outputs.get(name)));
  const scores = scoresOf(outputs, 'logits');
  const otherScores = scoresOf(outputs, quantizedName('logits'));
  let [queries, overlap, scoreError] = [0, 0, 0];
  for (const [query, score] of scores.entries()) {
    if (score < LEAST_SCORE) continue;
    queries++;
    overlap += intersectionOverUnion(boxes?.subarray(query * 4) ?? [], otherBoxes?.subarray(query * 4) ?? []);
    scoreError += Math.abs(score - (otherScores[query] ?? 0));
  }
  return { queries, overlap: queries > 0 ? overlap / queries : 1, scoreError: queries > 0 ? scoreError / queries : 0 };
}

/** The best score of each query over the tokens. */
function scoresOf(outputs: Outputs, name: string): number[] {
  const logits = outputs.get(name);
  const [, queries = 0, width = 0] = logits.shape;
  const data = floatData(logits);
  return Array.from({ length: queries }, (_, query) => {
    const best = data.subarray(query * width, (query + 1) * width).reduce((most, logit) => Math.max(most, logit));
    return 1 / (1 + Math.exp(-best));
  });
}

/** Of two boxes (cx, cy, w, h). */
function intersectionOverUnion(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const [ax = 0, ay = 0, aw = 0, ah = 0] = Array.from(a).slice(0, 4);
  const [bx = 0, by = 0, bw = 0, bh = 0] = Array.from(b).slice(0, 4);
  const side = (c: number, s: number, d: number, t: number) =>
    Math.max(Math.min(c + s / 2, d + t / 2) - Math.max(c - s / 2, d - t / 2), 0);
  const shared = side(ax, aw, bx, bw) * side(ay, ah, by, bh);
  const union = aw * ah + bw * bh - shared;
  return union > 0 ? shared / union : 1;
}
