/** The plan of quantization-aware training: the places that a recipe quantizes, with the scales to start from. */
import type { ModelPackage } from '../models/package/package.ts';
import { planQuantization } from '../quant/plan.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { startScales, type TrainablePlan } from '../train/learned-scales.ts';
import { type ApplyOptions, observeFor } from './apply-recipe.ts';

/**
 * The plan of a recipe for the model of a checkpoint, `float`, with the scales that calibration gives it. Techniques of the
 * recipe are left out: training takes their place.
 */
export async function planQuantizedTraining(
  float: ModelPackage,
  recipe: Recipe,
  calibration: ApplyOptions,
): Promise<TrainablePlan> {
  const bare = { ...recipe, techniques: [] };
  const statistics = await observeFor(float, bare, calibration);
  const plan = planQuantization(float.model, bare, { target: calibration.target });
  return startScales(resolveRanges(plan, { statistics }));
}
