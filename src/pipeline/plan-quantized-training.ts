/** A checkpoint's float model, a recipe and images → the scales that quantization-aware training starts from. */
import type { ModelPackage } from '../models/package/package.ts';
import { planQuantization } from '../quant/quantization-plan.ts';
import type { Recipe } from '../quant/recipe.ts';
import type { QuantizedTraining } from '../train/create-training.ts';
import { startScales } from '../train/quantize-training.ts';
import { type ApplyOptions, observeFor } from './apply-recipe.ts';

/** What a recipe asks for of the model of a checkpoint, `float`, and the scales that calibration gives it. Its techniques are left out: training takes their place. */
export async function planQuantizedTraining(
  float: ModelPackage,
  recipe: Recipe,
  calibration: ApplyOptions,
): Promise<QuantizedTraining> {
  const bare = { ...recipe, techniques: [] };
  const statistics = await observeFor(float, bare, calibration);
  return { recipe: bare, trainable: await startScales(planQuantization(float.model, bare, statistics)) };
}
