/** The accuracy of variants of one model on labelled data, for work that scores many variants. */
import type { WorkOptions } from '../base/progress.ts';
import type { CocoDataset } from '../data/coco.ts';
import { Detector } from '../detect/detector.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';
import { identifyDataset } from './dataset-identity.ts';
import { scoreDataset } from './score-dataset.ts';

/** A measure of accuracy on fixed data. */
export interface AccuracyMeasure {
  /** Two measures with the same key give the same result for the same model. */
  readonly key: string;
  /** The accuracy of a variant of the model, from 0 to 1. */
  measure(model: Model, options?: WorkOptions): Promise<number>;
}

/**
 * Makes a measure of accuracy from a data set: COCO's average precision (AP) of the detector.
 * @throws UsageError or InputError if an image cannot be read
 * @example
 * const accuracy = await detectionAccuracy(source, dataset);
 * const averagePrecision = await accuracy.measure(quantized); // from 0 to 1
 */
export async function detectionAccuracy(
  source: ModelPackage,
  dataset: CocoDataset,
  options: WorkOptions = {},
): Promise<AccuracyMeasure> {
  return {
    key: JSON.stringify(await identifyDataset(dataset, options)),
    async measure(model, { signal } = {}) {
      await using detector = await Detector.create({ ...source, model });
      return (await scoreDataset(detector, dataset, { signal })).figures.AP;
    },
  };
}
