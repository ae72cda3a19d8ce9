/** The step that searches for the fastest mixture of precisions within a loss of accuracy. */

import { basename } from 'node:path';
import { stringify } from 'yaml';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { everyImage } from '../data/calibration-plan.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import { detectionAccuracy } from '../evaluate/accuracy.ts';
import { createVariantTimer } from '../evaluate/relative-timer.ts';
import { type Granularity, measureSensitivity } from '../evaluate/sensitivity.ts';
import { type Tuned, tune as tuneModel } from '../evaluate/tune.ts';
import { planQuantization } from '../quant/plan.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { renderParetoFront } from '../report/pareto-front-page.ts';
import { type ThreadOptions, withThreads } from '../runtime/threads.ts';
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

/** Options of `tune`. */
export interface TuneStepOptions extends WorkOptions, CalibrationOptions, ThreadOptions {
  /** The float model. */
  readonly model: ModelSource;
  /** The labelled images by which mixtures are judged. */
  readonly dataset: DatasetSource;
  /** The recipe to write, as YAML. Finished measurements are kept in `OUTPUT.cache`. */
  readonly output: string;
  /** The points of average precision that may be lost; 0.5 by default. */
  readonly maxDrop?: number | undefined;
  /** The recipe to start from; `full` by default. */
  readonly recipe?: RecipeSource | undefined;
  /** Judges by the first images, this many; 200 by default. */
  readonly images?: number | undefined;
  /** The parts that become float again, the most sensitive first: single layers, or blocks; blocks by default. */
  readonly by?: Granularity | undefined;
  /** The HTML file to write with the Pareto front as a chart and a table. */
  readonly report?: string | undefined;
}

/** The number of timed runs of each mixture. */
const TIMED_RUNS = 30;

/** The defaults of `TuneStepOptions`. */
export const TUNE_DEFAULTS: Defaults<TuneStepOptions, 'maxDrop' | 'images' | 'by'> & {
  /** The name of the recipe. */
  readonly recipe: string;
} = {
  maxDrop: 0.5,
  recipe: 'full',
  images: 200,
  by: 'block',
};

/**
 * Makes the most sensitive parts of a recipe float again, as few as keep the accuracy, and writes the recipe.
 *
 * @throws UsageError if `maxDrop` is negative, or if the recipe quantizes nothing
 * @example
 * const { chosen } = await tune({
 *   model: 'tiny.onnx', dataset: 'coco/val2017', statistics: 'statistics.json', output: 'tuned.yaml', maxDrop: 0.3,
 * });
 */
export async function tune(options: TuneStepOptions): Promise<Tuned> {
  return withThreads(options.threads, async () => {
    const { maxDrop = TUNE_DEFAULTS.maxDrop, images = TUNE_DEFAULTS.images, by = TUNE_DEFAULTS.by } = options;
    const { output, report, onProgress, signal } = options;
    if (!(maxDrop >= 0)) throw new UsageError('`maxDrop` must be a number of points of average precision from 0 up.');
    const recipe = await openRecipe(options.recipe ?? TUNE_DEFAULTS.recipe, options.onNotice);
    const dataset = await openDataset(options.dataset, images);
    const source = await openModel(options.model);
    const calibration = await resolveCalibration(source, options);
    const planned = planQuantization(source.model, recipe);
    const statistics = await observeFor(source, planned, { onProgress, signal, ...calibration });
    const plan = resolveRanges(planned, { statistics });
    for (const sentence of plan.notices) options.onNotice?.(sentence);
    const accuracy = await detectionAccuracy(source, dataset, { onProgress, signal });
    const shared = { onProgress, signal, statistics, granularity: by, accuracy };
    const samples = calibrationSamples(source, everyImage(dataset));
    const parts = await measureSensitivity(source, plan, samples, { ...shared, cache: `${output}.cache` });
    await using timer = await createVariantTimer(source, dataset, TIMED_RUNS);
    const tuned = await tuneModel(source.model, plan, parts, { ...shared, timer, maxDrop });
    await writeAtomic(output, describeRecipe(tuned, maxDrop));
    if (report !== undefined) await writeAtomic(report, renderParetoFront(basename(source.source), tuned));
    return tuned;
  });
}

function describeRecipe({ recipe, chosen }: Tuned, maxDrop: number): string {
  const { rules, techniques, text }: Recipe = recipe;
  const description = `Tuned from ${recipe.name} for a loss of at most ${maxDrop} points of AP: ${chosen.float} parts are float, and ${chosen.drop.toFixed(2)} points are lost.`;
  return stringify({
    description,
    rules: rules.map((rule) =>
      Object.fromEntries(
        Object.entries(rule)
          .filter(([, value]) => value !== undefined)
          .map(([key, value]) => [key, key === 'observer' ? shortObserver(rule) : value]),
      ),
    ),
    ...(techniques.length > 0 && { techniques }),
    ...(text && { text }),
  });
}

/** An observer as recipes write it. */
function shortObserver({ observer }: Recipe['rules'][number]) {
  if (observer?.kind === 'percentile') return { percentile: observer.percentile };
  return observer?.kind === 'top-k' ? { 'top-k': observer.count } : observer?.kind;
}
