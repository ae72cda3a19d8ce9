/**
 * Searches for the fastest mixture of precisions that loses no more accuracy than allowed. The most sensitive parts stay
 * float; bisection finds how many of them must. Every mixture on the way is measured in accuracy and in time.
 */
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { Model } from '../onnx/read.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { QuantizationPlan } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { restrictPlan } from '../quant/restrict-plan.ts';
import type { AccuracyMeasure } from './accuracy.ts';
import type { VariantTimer } from './relative-timer.ts';
import { blockOf, type Granularity, type Sensitivity } from './sensitivity.ts';

/** A model in which the most sensitive parts are float and the others are quantized. */
export interface Mixture {
  /** The number of parts that are float. */
  readonly float: number;
  /** Average precision from 0 to 1. */
  readonly averagePrecision: number;
  /** Points of average precision lost against the float model; negative if the mixture is better. */
  readonly drop: number;
  /** The latency of a run. */
  readonly seconds: number;
}

/** The result of `tune`. */
export interface Tuned {
  /** The recipe of the chosen mixture. */
  readonly recipe: Recipe;
  /** The fastest mixture among those that lose no more than allowed. */
  readonly chosen: Mixture;
  /** All mixtures that were measured, by the number of float parts; in the last one all parts are float. */
  readonly mixtures: readonly Mixture[];
}

/** Options of `tune`. */
export interface TuneOptions extends WorkOptions {
  /** The statistics that the plan needs. */
  readonly statistics: Statistics;
  /** The parts that become float: as in the sensitivity analysis. */
  readonly granularity: Granularity;
  /** The measure by which the sensitivity analysis judged, too. */
  readonly accuracy: AccuracyMeasure;
  /** Measures the latency of each mixture. */
  readonly timer: VariantTimer;
  /** The points of average precision that may be lost. */
  readonly maxDrop: number;
}

/**
 * Finds the fastest mixture of a plan and float.
 * @param plan a plan of the model, by which the sensitivity was analysed
 * @param sensitivity the sensitivity of the parts, with accuracy
 * @throws UsageError if the recipe quantizes nothing, or if the sensitivity was analysed without labelled data
 * @example
 * const { recipe, chosen } = await tune(model, plan, partSensitivity, {
 *   statistics, granularity: 'block', accuracy, timer, maxDrop: 0.5,
 * });
 */
export async function tune(
  source: Model,
  plan: QuantizationPlan,
  sensitivity: Sensitivity,
  { statistics, granularity, accuracy, timer, maxDrop, onProgress, signal }: TuneOptions,
): Promise<Tuned> {
  const { parts, float: floatPrecision } = sensitivity;
  if (floatPrecision === undefined)
    throw new UsageError('The sensitivity analysis has no accuracy; repeat it with labelled data.');
  if (parts.length === 0)
    throw new UsageError(`The recipe ${plan.recipe.name} quantizes nothing; there is nothing to tune.`);
  const resolved = resolveRanges(plan, { statistics });
  const planOf = (float: number): QuantizationPlan => {
    const left = new Set(parts.slice(0, float).map(({ name }) => name));
    return restrictPlan(resolved, (path) => !left.has(granularity === 'layer' ? path : blockOf(path)));
  };
  const measured = new Map<number, Mixture>();
  const expected = Math.ceil(Math.log2(parts.length + 1)) + 2;
  const measure = async (float: number): Promise<Mixture> => {
    const known = measured.get(float);
    if (known) return known;
    signal?.throwIfAborted();
    onProgress?.({ label: 'Tuning', done: measured.size, total: Math.max(expected, measured.size + 1) });
    const { model } = await quantizeModel(source, planOf(float));
    const averagePrecision = await accuracy.measure(model, { signal });
    const drop = 100 * (floatPrecision - averagePrecision);
    const mixture = { float, averagePrecision, drop, seconds: await timer.time(model) };
    measured.set(float, mixture);
    return mixture;
  };
  // More float parts lose less, as a rule: the smallest number that is accurate enough lies in (tooFew, enough].
  let [tooFew, enough] = [0, parts.length];
  await measure(enough);
  if ((await measure(tooFew)).drop > maxDrop)
    while (enough - tooFew > 1) {
      const middle = Math.floor((tooFew + enough) / 2);
      if ((await measure(middle)).drop > maxDrop) tooFew = middle;
      else enough = middle;
    }
  else enough = 0;
  const mixtures = [...measured.values()].toSorted((a, b) => a.float - b.float);
  onProgress?.({ label: 'Tuning', done: measured.size, total: measured.size });
  // The fastest of all accurate mixtures is chosen, since more float parts are not always slower.
  const accurate = mixtures.filter(({ drop }) => drop <= maxDrop);
  const chosen = accurate.toSorted((a, b) => a.seconds - b.seconds)[0] ?? (await measure(enough));
  return { recipe: planOf(chosen.float).recipe, chosen, mixtures };
}
