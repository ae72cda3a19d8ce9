/**
 * Searches for the fastest mixture of precisions that loses no more accuracy than allowed. The most sensitive parts stay
 * float; bisection finds how many of them must. Every mixture on the way is measured in accuracy and in time.
 */
import { checkValue, objectWith } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { Estimate } from '../base/statistics.ts';
import { checkLoadedArgument, type LoadedModel } from '../models/family.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import type { QuantizationPlan } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { restrictPlan } from '../quant/restrict-plan.ts';
import type { AccuracyMeasure } from './accuracy.ts';
import { compareModels } from './compare.ts';
import type { VariantTimer } from './relative-timer.ts';
import { blockOf, type Granularity, type Sensitivity } from './sensitivity.ts';

/** A model in which the most sensitive parts are float and the others are quantized. */
export interface Mixture {
  /** The number of parts that are float. */
  readonly float: number;
  /** Average precision from 0 to 1; undefined without labelled data. */
  readonly averagePrecision?: number | undefined;
  /** Average precision with its 95 % confidence interval; undefined without labelled data, or with too few images. */
  readonly interval?: Estimate | undefined;
  /** The change of average precision against the float model, with its interval. */
  readonly change?: Estimate | undefined;
  /**
   * Points of average precision lost against the float model; negative if the mixture is better. Without labelled data it is
   * the change of the outputs in percent.
   */
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
  /** The inputs on which outputs are compared if there is no measure of accuracy. */
  readonly samples: SampleSource;
  /** The measure by which the sensitivity analysis judged, too; by default mixtures are judged by their outputs. */
  readonly accuracy?: AccuracyMeasure | undefined;
  /** Measures the latency of each mixture. */
  readonly timer: VariantTimer;
  /** The maximum of `Mixture.drop`. */
  readonly maxDrop: number;
}

/**
 * Finds the fastest mixture of a plan and float.
 * @param plan a plan of the model, by which the sensitivity was analysed
 * @param source the float model
 * @param sensitivity the sensitivity of the parts, with average precision if mixtures are judged by it
 * @throws UsageError if the recipe quantizes nothing, or if the sensitivity was analysed without the measure of accuracy
 * @example
 * const { recipe, chosen } = await tune(source, plan, partSensitivity, {
 *   samples, statistics, granularity: 'block', accuracy, timer, maxDrop: 0.5,
 * });
 */
export async function tune(
  source: LoadedModel,
  plan: QuantizationPlan,
  sensitivity: Sensitivity,
  options: TuneOptions,
): Promise<Tuned> {
  checkLoadedArgument(source);
  checkValue('The plan', objectWith('what `planQuantization` returned', 'entries', 'recipe'), plan);
  checkValue('The sensitivity', objectWith('what `measureSensitivity` returned', 'parts'), sensitivity);
  checkValue(
    'The options',
    objectWith('an object with samples, statistics and a timer', 'samples', 'statistics', 'timer'),
    options,
  );
  const { samples, statistics, granularity, accuracy, timer, maxDrop, onProgress, signal } = options;
  const { parts, float: floatPrecision } = sensitivity;
  if (accuracy && floatPrecision === undefined)
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
    const { model } = await quantizeModel(source.model, planOf(float));
    const accurate = await accuracy?.measure(model, { signal });
    const averagePrecision = accurate?.averagePrecision;
    const drop =
      averagePrecision === undefined || floatPrecision === undefined
        ? 100 * (await compareModels(source, model, samples, { outputsOnly: true, signal })).loss
        : 100 * (floatPrecision - averagePrecision);
    const mixture = { float, ...accurate, drop, seconds: await timer.time(model) };
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
