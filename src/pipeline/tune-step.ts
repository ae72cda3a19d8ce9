/** The step that searches for the fastest mixture of precisions within a loss of accuracy. */

import { basename } from 'node:path';
import { stringify } from 'yaml';
import { numberWithin, type OptionSchemas, oneOf, optional, text } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { UsageError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { WorkOptions } from '../base/progress.ts';
import { stateBeside } from '../base/write-place.ts';
import type { CocoDataset } from '../data/coco.ts';
import { DEFAULT_ALLOWED_DROP } from '../evaluate/recommendation.ts';
import { createFeedsTimer, createVariantTimer, type VariantTimer } from '../evaluate/relative-timer.ts';
import { GRANULARITIES, type Granularity, measureSensitivity } from '../evaluate/sensitivity.ts';
import { type Tuned, tune as tuneModel } from '../evaluate/tune.ts';
import type { LoadedModel } from '../models/family.ts';
import { isPackage, type ReadOptions } from '../models/package/package.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import type { Recipe } from '../quant/recipe.ts';
import type { ThreadOptions } from '../runtime/threads.ts';
import type { CalibrationOptions } from './calibration-options.ts';
import { accuracyOf, judgingSchemas, openJudgedModel } from './judged-model.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';
import type { InputSource } from './samples.ts';
import type { AnyModelSource, RecipeSource } from './sources.ts';
import type { OverwriteOptions } from './step-files.ts';

/** Options of `tune`. */
export interface TuneStepOptions extends WorkOptions, ReadOptions, CalibrationOptions, ThreadOptions, OverwriteOptions {
  /** The float model. */
  readonly model: AnyModelSource;
  /** The labelled images by which mixtures are judged. Of models that are no detectors of dino8: arrays or pictures. */
  readonly dataset: InputSource;
  /** The recipe to write, as YAML. Finished measurements are kept in `OUTPUT.cache`. */
  readonly output: string;
  /**
   * The points of average precision that may be lost; 0.5 by default. Of a model that is judged by its outputs, the change of
   * the outputs in percent; 5 by default.
   */
  readonly maxDrop?: number | undefined;
  /** The recipe to start from; `full` by default, and `generic` for a model that is no detector. */
  readonly recipe?: RecipeSource | undefined;
  /** Judges by the first images, this many; 200 by default. */
  readonly images?: number | undefined;
  /** The parts that become float again, the most sensitive first: single layers, or blocks; blocks by default. */
  readonly by?: Granularity | undefined;
  /** The HTML file to write with the Pareto front as a chart and a table. */
  readonly report?: string | undefined;
}

/** The result of `tune`. */
export interface TuneResult extends Tuned {
  /** The model, and the data set by which it was judged. */
  readonly origin: ResultOrigin;
}

/** The number of timed runs of each mixture. */
const TIMED_RUNS = 30;

/** The defaults of `TuneStepOptions`. */
export const TUNE_DEFAULTS: Defaults<TuneStepOptions, 'maxDrop' | 'images' | 'by'> & {
  /** The name of the recipe. */
  readonly recipe: string;
  /** The `maxDrop` of a model that is judged by its outputs, in percent. */
  readonly maxOutputChange: number;
} = {
  maxDrop: DEFAULT_ALLOWED_DROP,
  maxOutputChange: 5,
  recipe: 'full',
  images: 200,
  by: 'block',
};

const schemas: OptionSchemas<TuneStepOptions> = {
  ...judgingSchemas,
  output: text,
  maxDrop: optional(numberWithin(0, Number.MAX_VALUE)),
  by: optional(oneOf(GRANULARITIES)),
};

/**
 * Makes the most sensitive parts of a recipe float again, as few as keep the accuracy, and writes the recipe. A detector is
 * judged by average precision, any other model by how far its outputs move.
 *
 * @throws UsageError if `maxDrop` is negative, or if the recipe quantizes nothing
 * @example
 * const { chosen } = await tune({
 *   model: 'tiny.onnx', dataset: 'coco/val2017', statistics: 'statistics.json', output: 'tuned.yaml', maxDrop: 0.3,
 * });
 */
export async function tune(options: TuneStepOptions): Promise<TuneResult> {
  return runStep('tune', schemas, options, async () => {
    const { images = TUNE_DEFAULTS.images, by = TUNE_DEFAULTS.by, output, report, onProgress, signal } = options;
    const judged = await openJudgedModel(options, images, TUNE_DEFAULTS.recipe);
    const { source, plan, samples, statistics, dataset } = judged;
    const { maxDrop = dataset ? TUNE_DEFAULTS.maxDrop : TUNE_DEFAULTS.maxOutputChange } = options;
    const accuracy = await accuracyOf(judged, { onProgress, signal });
    const shared = { onProgress, signal, statistics, granularity: by, accuracy };
    const parts = await measureSensitivity(source, plan, samples, {
      ...shared,
      cache: await stateBeside(output, '.cache'),
    });
    await using timer = await openTimer(source, dataset, samples);
    const tuned = await tuneModel(source, plan, parts, { ...shared, samples, timer, maxDrop });
    await writeAtomic(output, describeRecipe(tuned, maxDrop));
    if (report !== undefined) {
      const { renderParetoFront } = await import('../report/pareto-front-page.ts');
      await writeAtomic(report, renderParetoFront(basename(source.source), tuned));
    }
    return { origin: originOf('tune', { subject: source.source, model: source, dataset }), ...tuned };
  });
}

/** Times variants on an image and a prompt of the data set, or on the first of other inputs. */
async function openTimer(
  source: LoadedModel,
  dataset: CocoDataset | undefined,
  samples: SampleSource,
): Promise<VariantTimer> {
  if (dataset && isPackage(source)) return createVariantTimer(source, dataset, TIMED_RUNS);
  for await (const { feeds } of samples.samples()) return createFeedsTimer(source.model, feeds, TIMED_RUNS);
  throw new UsageError('There are no inputs to run the model on.');
}

function describeRecipe({ recipe, chosen }: Tuned, maxDrop: number): string {
  const { rules, techniques, text }: Recipe = recipe;
  const lost =
    chosen.averagePrecision === undefined
      ? `for a change of the outputs by at most ${maxDrop} %: ${chosen.float} parts are float, and the outputs change by ${chosen.drop.toFixed(2)} %`
      : `for a loss of at most ${maxDrop} points of AP: ${chosen.float} parts are float, and ${chosen.drop.toFixed(2)} points are lost`;
  return stringify({
    description: `Tuned from ${recipe.name} ${lost}.`,
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
