/** The plan of quantization-aware training: the places that a recipe quantizes, with the scales to start from. */
import type { ModelPackage } from '../models/package/package.ts';
import { planQuantization } from '../quant/plan.ts';
import type { Recipe } from '../quant/recipe.ts';
import { resolveRanges } from '../quant/resolve-ranges.ts';
import { type QuantizedTraining, startScales } from '../train/quantize-training.ts';
import { type ApplyOptions, observeFor } from './apply-recipe.ts';

/**
 * The plan of a recipe for the model of a checkpoint, `float`, with the scales that calibration gives it. Techniques of the
 * recipe are left out: training takes their place.
 */
export async function planQuantizedTraining(
  float: ModelPackage,
  recipe: Recipe,
  calibration: ApplyOptions,
): Promise<QuantizedTraining> {
  const bare = { ...recipe, techniques: [] };
  const statistics = await observeFor(float, bare, calibration);
  const plan = resolveRanges(planQuantization(float.model, bare), { statistics });
  return { recipe: bare, trainable: await startScales(plan) };
}
