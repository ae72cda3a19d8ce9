/** The plan of quantization-aware training: the places that a recipe quantizes, with the scales to start from. */
import { checkFields } from '../base/check-options.ts';
import type { ModelPackage } from '../models/package/package.ts';
import { planQuantization } from '../quant/plan.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { startScales, type TrainablePlan } from '../train/learned-scales.ts';
import { type ObserveOptions, observeFor } from './apply-recipe.ts';

/**
 * Plans the quantization that a training has in place, with the scales that calibration gives it. Techniques of the recipe
 * are left out: training takes their place.
 * @param float the FP32 model of the checkpoint
 * @throws UsageError if the recipe does not fit the model, cannot be trained, or needs calibration that is not given
 * @example
 * const trainable = await planQuantizedTraining(source, recipe, { plan: planCalibration(dataset, 64, 0) });
 * const models = await buildStepModels(checkpoint, size, lossSettings, trainable);
 */
export async function planQuantizedTraining(
  float: ModelPackage,
  recipe: Recipe,
  calibration: ObserveOptions,
): Promise<TrainablePlan> {
  checkFields('The model must be what `readPackage` returned', float, 'model', 'family');
  checkFields('The recipe must be what `readRecipe` returned', recipe, 'rules', 'techniques');
  const bare = { ...recipe, techniques: [] };
  const plan = planQuantization(float.model, bare);
  const statistics = await observeFor(float, plan, calibration);
  return startScales(resolveRanges(plan, { statistics }));
}
