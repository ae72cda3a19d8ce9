/** A model, a recipe and images → an INT8 model: every step that a recipe may ask for, in order. */
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import type { CalibrationPlan } from '../data/calibration-plan.ts';
import { calibrationSamples } from '../detect/calibration-feeds.ts';
import type { ModelPackage } from '../models/package/package.ts';
import type { Statistics } from '../quant/observe/calibrate.ts';
import { type Placement, type Quantized, quantizeModel, valuesToObserve } from '../quant/quantize.ts';
import type { Recipe } from '../quant/recipe.ts';
import { prepareModel, preparesModel, valuesToPrepare } from '../quant/techniques/prepare.ts';
import { roundModel, roundsModel } from '../quant/techniques/round-model.ts';
import { calibrateDataset } from './calibrate-dataset.ts';

export interface ApplyOptions extends WorkOptions {
  /** The images to calibrate on; needed unless `statistics` has all that the recipe needs. */
  readonly plan?: CalibrationPlan | undefined;
  /** What calibration found before. */
  readonly statistics?: Statistics | undefined;
  readonly placement?: Placement | undefined;
  /** Told of each optional technique that is left out because there are no images. */
  readonly onLeftOut?: ((technique: string) => void) | undefined;
}

/** The statistics that a recipe needs: those that are there, or of the images. @throws UsageError if there are neither */
export async function observeFor(
  source: ModelPackage,
  recipe: Recipe,
  { plan, statistics, ...work }: ApplyOptions,
): Promise<Statistics> {
  return statistics ?? observe(source, valuesToObserve(source.model, recipe), recipe, plan, work);
}

async function observe(
  source: ModelPackage,
  values: readonly string[],
  recipe: Recipe,
  plan: CalibrationPlan | undefined,
  work: WorkOptions,
): Promise<Statistics> {
  if (values.length === 0) return new Map();
  if (plan) return (await calibrateDataset(source, values, plan, work)).statistics;
  throw new UsageError(
    `The recipe ${recipe.name} needs images to calibrate on; name them with --calibration, or what dino8 calibrate found with --ranges.`,
  );
}

/** @throws UsageError if the recipe needs images that were not given */
export async function applyRecipe(
  source: ModelPackage,
  asked: Recipe,
  { plan, statistics, onLeftOut, placement, ...work }: ApplyOptions = {},
): Promise<Quantized> {
  const recipe = plan ? asked : withoutOptional(asked, onLeftOut);
  let { model } = source;
  if (preparesModel(recipe)) {
    if (!plan && statistics)
      throw new UsageError(
        `The recipe ${recipe.name} changes weights before ranges are found, so that ranges of the model as it is do not fit; name images with --calibration.`,
      );
    model = await prepareModel(
      model,
      recipe,
      await observe(source, valuesToPrepare(model, recipe), recipe, plan, work),
    );
  }
  const prepared = { ...source, model };
  const known = await observeFor(prepared, recipe, { plan, statistics: plan ? undefined : statistics, ...work });
  if (!roundsModel(recipe)) return quantizeModel(model, recipe, { statistics: known, placement });
  if (!plan)
    throw new UsageError(`The recipe ${recipe.name} rounds by what it sees on images; name them with --calibration.`);
  const rounded = await roundModel(model, recipe, calibrationSamples(prepared, plan), work);
  return quantizeModel(model, recipe, { statistics: known, rounded, placement });
}

function withoutOptional(recipe: Recipe, onLeftOut: ApplyOptions['onLeftOut']): Recipe {
  const isLeftOut = (each: Recipe['techniques'][number]) => 'optional' in each && each.optional;
  for (const each of recipe.techniques.filter(isLeftOut)) onLeftOut?.(each.technique);
  return { ...recipe, techniques: recipe.techniques.filter((each) => !isLeftOut(each)) };
}
