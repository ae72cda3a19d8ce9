/** The step that measures how much accuracy each part of a model loses when it alone is quantized. */
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { everyImage } from '../data/calibration-plan.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import { detectionAccuracy } from '../evaluate/accuracy.ts';
import { type Granularity, measureSensitivity, type Sensitivity } from '../evaluate/sensitivity.ts';
import { renderSensitivity } from '../report/sensitivity-page.ts';
import { observeFor } from './apply-recipe.ts';
import { type CalibrationOptions, resolveCalibration } from './calibration-options.ts';
import {
  type DatasetSource,
  type ModelSource,
  openDataset,
  openModel,
  openRecipe,
  type RecipeSource,
} from './sources.ts';

/** Options of `sensitivity`. */
export interface SensitivityStepOptions extends WorkOptions, CalibrationOptions {
  /** The float model. */
  readonly model: ModelSource;
  /** The labelled images by which parts are judged. */
  readonly dataset: DatasetSource;
  /** The recipe that says how parts are quantized; `full` by default. */
  readonly recipe?: RecipeSource | undefined;
  /** Judges by the first images, this many; 100 by default. */
  readonly images?: number | undefined;
  /** The parts that are quantized one at a time: single layers, or blocks of a module path; blocks by default. */
  readonly by?: Granularity | undefined;
  /** The JSON file to write. With it, finished parts are kept in `OUTPUT.cache` and not measured again. */
  readonly output?: string | undefined;
  /** The HTML file to write with a table and a chart. */
  readonly report?: string | undefined;
}

/** The defaults of `SensitivityStepOptions`. */
export const SENSITIVITY_DEFAULTS = { recipe: 'full', images: 100, by: 'block' } as const;

/**
 * Quantizes one part of a model at a time, and measures average precision and the change of boxes and scores.
 *
 * @throws UsageError if the recipe needs calibration and neither `statistics` nor `calibration` is given
 * @example
 * const { parts } = await sensitivity({ model: 'tiny.onnx', dataset: 'coco/val2017', statistics: 'statistics.json' });
 */
export async function sensitivity(options: SensitivityStepOptions): Promise<Sensitivity> {
  const { images = SENSITIVITY_DEFAULTS.images, by = SENSITIVITY_DEFAULTS.by, output, report } = options;
  const { onProgress, signal } = options;
  const recipe = await openRecipe(options.recipe ?? SENSITIVITY_DEFAULTS.recipe);
  const dataset = await openDataset(options.dataset, images);
  const source = await openModel(options.model);
  const calibration = await resolveCalibration(source, options);
  const statistics = await observeFor(source, recipe, { onProgress, signal, ...calibration });
  const result = await measureSensitivity(source, recipe, calibrationSamples(source, everyImage(dataset)), {
    accuracy: await detectionAccuracy(source, dataset, { onProgress, signal }),
    onProgress,
    signal,
    statistics,
    granularity: by,
    cache: output === undefined ? undefined : `${output}.cache`,
  });
  if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
  if (report !== undefined) await writeAtomic(report, renderSensitivity(source.source, result));
  return result;
}
