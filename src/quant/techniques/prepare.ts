/** The techniques of a recipe that change weights before ranges are found: the model computes the same, with values that quantize better. */
import { copyModel } from '../../onnx/copy.ts';
import type { Model } from '../../onnx/read.ts';
import type { Statistics } from '../observe/calibrate.ts';
import type { Recipe, Technique } from '../recipe.ts';
import { balanceQueries } from './balance-queries.ts';
import { equalize } from './equalize.ts';
import { findSmoothable, smooth } from './smooth.ts';

const PREPARING: readonly Technique['technique'][] = ['smooth', 'equalize', 'balance-queries'];

/** The recipe without the techniques of `prepareModel`, for a model that is prepared; the same object if it has none. */
export function withoutPreparation(recipe: Recipe): Recipe {
  const techniques = recipe.techniques.filter(({ technique }) => !PREPARING.includes(technique));
  return techniques.length === recipe.techniques.length ? recipe : { ...recipe, techniques };
}

/** The values whose statistics by channel `prepareModel` needs, each once. */
export function valuesToPrepare(model: Model, { techniques }: Recipe): string[] {
  const found = techniques.flatMap((each) =>
    each.technique === 'smooth' ? findSmoothable(model, each.match).map(({ output }) => output) : [],
  );
  return [...new Set(found)];
}

/**
 * A model that computes the same; `model` itself is not changed.
 *
 * @throws InputError if statistics are missing; the message names the values to observe
 */
export async function prepareModel(model: Model, { techniques }: Recipe, statistics: Statistics): Promise<Model> {
  const prepared = copyModel(model);
  for (const [index, each] of techniques.entries()) {
    const prefix = `dino8.${each.technique}_${index}`;
    if (each.technique === 'smooth') await smooth(prepared, each.match, each.alpha, statistics, prefix);
    if (each.technique === 'equalize') await equalize(prepared, each.match, prefix);
    if (each.technique === 'balance-queries') await balanceQueries(prepared, each.match, prefix);
  }
  return prepared;
}
