/** The techniques of a recipe that come before ranges: the model computes the same, in numbers that quantize better. */
import { copyModel } from '../../onnx/copy.ts';
import type { Model } from '../../onnx/read.ts';
import type { Statistics } from '../observe/calibrate.ts';
import type { Recipe, Technique } from '../recipe.ts';
import { balanceQueries } from './balance-queries.ts';
import { equalize } from './equalize.ts';
import { findSmoothable, smooth } from './smooth.ts';

const PREPARING: readonly Technique['technique'][] = ['smooth', 'equalize', 'balance-queries'];

/** True if a recipe changes weights before ranges are found, so that those of the model as it is do not fit. */
export function preparesModel({ techniques }: Recipe): boolean {
  return techniques.some(({ technique }) => PREPARING.includes(technique));
}

/** The values whose channels `prepareModel` needs to know. */
export function valuesToPrepare(model: Model, { techniques }: Recipe): string[] {
  const found = techniques.flatMap((each) =>
    each.technique === 'smooth' ? findSmoothable(model, each.match).map(({ output }) => output) : [],
  );
  return [...new Set(found)];
}

/** An equivalent model; `model` itself is not changed. */
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
