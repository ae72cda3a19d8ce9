/** The recipe that is meant where none is named. */
import type { LoadedModel } from '../models/family.ts';
import { isPackage } from '../models/package/package.ts';
import { DEFAULT_RECIPE } from '../quant/recipe.ts';

/** The recipe for models that are no detectors of dino8. */
export const GENERIC_RECIPE = 'generic';

/** `mixed` for a detector of dino8; `generic` for any other model. */
export const defaultRecipe = (loaded: LoadedModel): string => (isPackage(loaded) ? DEFAULT_RECIPE : GENERIC_RECIPE);
