/** The inputs that the steps share: a model, a data set or a recipe, given by its path or as the object itself. */
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import type { LoadedModel } from '../models/family.ts';
import {
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  readCheckpoint,
  readPackage,
} from '../models/package/package.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';

/** A model: the path of an ONNX file, of a folder or of a checkpoint, or a model that was read before. */
export type ModelSource = string | ModelPackage;

/** A model of any family: its path, or a model that was read before. */
export type AnyModelSource = string | LoadedModel;

/** A data set: the path of a folder of images in COCO's layout, or a data set that was opened before. */
export type DatasetSource = string | CocoDataset;

/** A recipe: the name of a bundled recipe, the path of a YAML file, or a recipe that was read before. */
export type RecipeSource = string | Recipe;

/** Called with each sentence that a user should see and that is no error. */
type OnNotice = WorkOptions['onNotice'];

/**
 * Reads a model that is given by its path, and passes its notices on.
 *
 * @throws UsageError or InputError if there is no readable model
 */
export async function openModel(model: ModelSource, onNotice: OnNotice): Promise<ModelPackage> {
  return announced(typeof model === 'string' ? await readPackage(model) : model, onNotice);
}

/** Reads a model of any family, as `openModel` does. */
export async function openAnyModel(model: AnyModelSource, onNotice: OnNotice): Promise<LoadedModel> {
  return announced(typeof model === 'string' ? await loadModel(model) : model, onNotice);
}

/** Reads a checkpoint, as `openModel` reads a model. */
export async function openCheckpoint(path: string, onNotice: OnNotice): Promise<CheckpointPackage> {
  return announced(await readCheckpoint(path), onNotice);
}

function announced<T extends { readonly notices?: readonly string[] | undefined }>(opened: T, onNotice: OnNotice): T {
  for (const sentence of opened.notices ?? []) onNotice?.(sentence);
  return opened;
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
export async function openRecipe(recipe: RecipeSource, onNotice?: OnNotice): Promise<Recipe> {
  return announced(typeof recipe === 'string' ? await readRecipe(recipe) : recipe, onNotice);
}
