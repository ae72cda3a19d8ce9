/** The accuracy of variants of one model on labelled data, for work that scores many variants. */

import type { WorkOptions } from '../base/progress.ts';
import type { Estimate } from '../base/statistics.ts';
import { type CocoDataset, checkDatasetArgument } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import { checkLoadedArgument } from '../models/family.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';
import { bootstrapScores } from './bootstrap.ts';
import { identifyDataset } from './dataset-identity.ts';
import { type Matches, matchDetections } from './matches.ts';
import { scoreDataset } from './score-dataset.ts';
import { scoreMatches } from './score-matches.ts';

/** The accuracy of a variant of a model. */
export interface Accuracy {
  /** Average precision from 0 to 1. */
  readonly averagePrecision: number;
  /** It with its 95 % confidence interval; undefined if there are too few images. */
  readonly interval?: Estimate | undefined;
  /** The change against the float model, with its interval. */
  readonly change?: Estimate | undefined;
}

/** A measure of accuracy on fixed data. */
export interface AccuracyMeasure {
  /** Two measures with the same key give the same result for the same model. */
  readonly key: string;
  /** The accuracy of a variant of the model. */
  measure(model: Model, options?: WorkOptions): Promise<Accuracy>;
}

/**
 * Makes a measure of accuracy from a data set: COCO's average precision (AP) of the detector, and its change against `source`,
 * with intervals. The float model is scored once, when the first variant is.
 * @throws UsageError or InputError if an image cannot be read
 * @example
 * const accuracy = await detectionAccuracy(source, dataset);
 * const { averagePrecision, change } = await accuracy.measure(quantized);
 */
export async function detectionAccuracy(
  source: ModelPackage,
  dataset: CocoDataset,
  options: WorkOptions = {},
): Promise<AccuracyMeasure> {
  checkLoadedArgument(source);
  checkDatasetArgument(dataset);
  const score = async (model: Model, signal: AbortSignal | undefined): Promise<Matches> => {
    await using detector = await Detector.create({ ...source, model });
    return matchDetections(dataset, (await scoreDataset(detector, dataset, { signal })).detections);
  };
  let reference: Matches | undefined;
  return {
    key: JSON.stringify(await identifyDataset(dataset, options)),
    async measure(model, { signal } = {}) {
      reference ??= await score(source.model, signal);
      if (model === source.model) {
        const [float] = await bootstrapScores([reference], { signal });
        return { averagePrecision: scoreMatches(reference).figures.AP, interval: float?.figures.AP };
      }
      const matches = await score(model, signal);
      const [, variant] = await bootstrapScores([reference, matches], { signal });
      return {
        averagePrecision: scoreMatches(matches).figures.AP,
        interval: variant?.figures.AP,
        change: variant?.change?.figures.AP,
      };
    },
  };
}
