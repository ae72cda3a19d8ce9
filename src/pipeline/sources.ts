/** The inputs that the steps share: a model, a data set or a recipe, given by its path or as the object itself. */
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import type { LoadedModel } from '../models/family.ts';
import { loadModel, type ModelPackage, readPackage } from '../models/package/package.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';

/** A model: the path of an ONNX file, of a folder or of a checkpoint, or a model that was read before. */
export type ModelSource = string | ModelPackage;

/** A model of any family: its path, or a model that was read before. */
export type AnyModelSource = string | LoadedModel;

/** A data set: the path of a folder of images in COCO's layout, or a data set that was opened before. */
export type DatasetSource = string | CocoDataset;

/** A recipe: the name of a bundled recipe, the path of a YAML file, or a recipe that was read before. */
export type RecipeSource = string | Recipe;

/** Reads a model that is given by its path. @throws UsageError or InputError if there is no readable model */
export async function openModel(model: ModelSource): Promise<ModelPackage> {
  return typeof model === 'string' ? readPackage(model) : model;
}

/** Reads a model of any family. @throws UsageError or InputError if there is no readable model */
export async function openAnyModel(model: AnyModelSource): Promise<LoadedModel> {
  return typeof model === 'string' ? loadModel(model) : model;
}

/**
 * Opens a data set that is given by its path.
 *
 * @param images the number of images to keep, from the first; all of them by default
 * @throws UsageError or InputError if there is no readable data set
 */
export async function openDataset(dataset: DatasetSource, images = Number.POSITIVE_INFINITY): Promise<CocoDataset> {
  return takeImages(typeof dataset === 'string' ? await readDataset(dataset) : dataset, images);
}

/**
 * Reads a recipe that is given by its name or path.
 *
 * @param onNotice called with a sentence for each word of a former version that the recipe uses
 * @throws UsageError or InputError if there is no such recipe
 */
export async function openRecipe(recipe: RecipeSource, onNotice?: (sentence: string) => void): Promise<Recipe> {
  const opened = typeof recipe === 'string' ? await readRecipe(recipe) : recipe;
  for (const sentence of opened.notices ?? []) onNotice?.(sentence);
  return opened;
}
