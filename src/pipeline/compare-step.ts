/** The step that compares a quantized model with its float model. */
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { everyImage } from '../data/calibration-plan.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import { type Comparison, compareModels } from '../evaluate/compare.ts';
import { renderComparison } from '../report/comparison-page.ts';
import { type DatasetSource, type ModelSource, openDataset, openModel } from './sources.ts';

/** Options of `compare`. */
export interface CompareStepOptions extends WorkOptions {
  /** The float model. */
  readonly model: ModelSource;
  /** The model that was quantized from it. */
  readonly quantized: ModelSource;
  /** The images; the categories together are the prompt. */
  readonly dataset: DatasetSource;
  /** Runs both models on the first images, this many; 32 by default. */
  readonly images?: number | undefined;
  /** The HTML file to write with tables and a chart. */
  readonly report?: string | undefined;
}

/** The defaults of `CompareStepOptions`. */
export const COMPARE_DEFAULTS = { images: 32 } as const;

/**
 * Measures how far a quantized model departs from its float model: the noise after each layer, and the boxes and scores of
 * the queries that both select.
 *
 * @throws RuntimeError if one of the models does not run
 * @example
 * const { layers } = await compare({ model: 'tiny.onnx', quantized: 'tiny.int8.onnx', dataset: 'coco/val2017' });
 */
export async function compare(options: CompareStepOptions): Promise<Comparison> {
  const { images = COMPARE_DEFAULTS.images, report, onProgress, signal } = options;
  const dataset = await openDataset(options.dataset, images);
  const float = await openModel(options.model);
  const quantized = await openModel(options.quantized);
  const samples = calibrationSamples(float, everyImage(dataset));
  const comparison = await compareModels(float, quantized.model, samples, { onProgress, signal });
  if (report !== undefined) await writeAtomic(report, renderComparison(quantized.source, comparison));
  return comparison;
}
