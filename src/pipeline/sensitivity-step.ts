/** The step that measures how much accuracy each part of a model loses when it alone is quantized. */
import { basename } from 'node:path';
import { type OptionSchemas, oneOf, optional } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { stateBeside } from '../base/write-place.ts';
import { GRANULARITIES, type Granularity, measureSensitivity, type Sensitivity } from '../evaluate/sensitivity.ts';
import type { ReadOptions } from '../models/package/package.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import type { CalibrationOptions } from './calibration-options.ts';
import { accuracyOf, judgingSchemas, openJudgedModel } from './judged-model.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';
import type { InputSource } from './samples.ts';
import type { AnyModelSource, RecipeSource } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of `sensitivity`. */
export interface SensitivityStepOptions
  extends WorkOptions,
    ReadOptions,
    CalibrationOptions,
    ThreadOptions,
    OverwriteOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The labelled images by which parts are judged. Of models that are no detectors of dino8: arrays or pictures. */
  readonly dataset: InputSource;
  /** The recipe that says how parts are quantized; by default `full`, and `generic` for a model that is no detector. */
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

/** The result of `sensitivity`. */
export interface SensitivityResult extends Sensitivity {
  /** The model, and the data set by which it was judged. */
  readonly origin: ResultOrigin;
}

/** The defaults of `SensitivityStepOptions`. */
export const SENSITIVITY_DEFAULTS: Defaults<SensitivityStepOptions, 'images' | 'by'> & {
  /** The name of the recipe. */
  readonly recipe: string;
} = {
  recipe: 'full',
  images: 100,
  by: 'block',
};

const schemas: OptionSchemas<SensitivityStepOptions> = {
  ...judgingSchemas,
  by: optional(oneOf(GRANULARITIES)),
};

/**
 * Quantizes one part of a model at a time, and measures the change of its outputs; for a detector these are boxes and scores,
 * and average precision is measured too.
 *
 * @throws UsageError if the recipe needs calibration and neither `statistics` nor `calibration` is given
 * @example
 * const { parts } = await sensitivity({ model: 'tiny.onnx', dataset: 'coco/val2017', statistics: 'statistics.json' });
 */
export async function sensitivity(options: SensitivityStepOptions): Promise<SensitivityResult> {
  return runStep('sensitivity', schemas, options, async () => {
    const { images = SENSITIVITY_DEFAULTS.images, by = SENSITIVITY_DEFAULTS.by, output, report } = options;
    const { onProgress, signal } = options;
    const judged = await openJudgedModel(options, images, SENSITIVITY_DEFAULTS.recipe);
    const { source, plan, samples, statistics, dataset } = judged;
    const measured = await measureSensitivity(source, plan, samples, {
      accuracy: await accuracyOf(judged, { onProgress, signal }),
      onProgress,
      signal,
      statistics,
      granularity: by,
      cache: await stateBeside(output, '.cache'),
    });
    const origin = originOf('sensitivity', { subject: source.source, model: source, dataset });
    const result: SensitivityResult = { origin, ...measured };
    if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
    if (report !== undefined) {
      const { renderSensitivity } = await import('../report/sensitivity-page.ts');
      await writeAtomic(report, renderSensitivity(basename(source.source), result));
    }
    return result;
  });
}
