/** The inputs that the steps share: a model, a data set or a recipe, given by its path or as the object itself. */
import { Dino8Error } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { type CheckOptions, checkPictures } from '../data/datasets/check-pictures.ts';
import type { Purpose, ReadDatasetOptions } from '../data/datasets/dataset-options.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import type { LoadedModel } from '../models/family.ts';
import {
  type CheckpointPackage,
  loadModel,
  type ModelPackage,
  type ReadOptions,
  readCheckpoint,
  readPackage,
  refuseReadOptions,
} from '../models/package/package.ts';
import { type Recipe, readRecipe } from '../quant/recipe.ts';

/** A model: the path of an ONNX file, of a folder or of a checkpoint, or a model that was read before. */
export type ModelSource = string | ModelPackage;

/** A model of any family: its path, or a model that was read before. */
export type AnyModelSource = string | LoadedModel;

/** A data set in files: its path, as in `readDataset`, and what else has to be said about it. */
export interface DatasetFiles
  extends Pick<ReadDatasetOptions, 'annotations' | 'imagesRoot' | 'split' | 'ignoreOrientation' | 'cleanNames'> {
  /** The path of the folder, of the JSON file in COCO's format, or of the `data.yaml` of a YOLO data set. */
  readonly path: string;
}

/** A data set: the path of one in COCO's, YOLO's or Pascal VOC's layout, with or without options, or one that was read before. */
export type DatasetSource = string | DatasetFiles | CocoDataset;

/** Options of every step that opens a data set. */
export interface DatasetOptions extends CheckOptions {}

/** A recipe: the name of a bundled recipe, the path of a YAML file, or a recipe that was read before. */
export type RecipeSource = string | Recipe;

/** Called with each sentence that a user should see and that is no error. */
type OnNotice = WorkOptions['onNotice'];

/** How a checkpoint is read, and who is told what was found. */
export type OpenModelOptions = ReadOptions & Pick<WorkOptions, 'onNotice'>;

/**
 * Reads a model that is given by its path, and passes its notices on.
 *
 * @throws UsageError or InputError if there is no readable model
 */
export async function openModel(model: ModelSource, options: OpenModelOptions): Promise<ModelPackage> {
  return opened(model, options, readPackage);
}

/** Reads a model of any family, as `openModel` does. */
export async function openAnyModel(model: AnyModelSource, options: OpenModelOptions): Promise<LoadedModel> {
  return opened(model, options, loadModel);
}

/** Reads a checkpoint, as `openModel` reads a model. */
export async function openCheckpoint(path: string, options: OpenModelOptions): Promise<CheckpointPackage> {
  return opened(path, options, readCheckpoint);
}

async function opened<T extends { readonly source: string; readonly notices?: readonly string[] | undefined }>(
  model: string | T,
  { ema, tokenizer, signal, onNotice }: OpenModelOptions,
  read: (path: string, options: ReadOptions) => Promise<T>,
): Promise<T> {
  if (typeof model === 'string') return announced(await read(model, { ema, tokenizer, signal }), onNotice);
  refuseReadOptions(model.source, { ema, tokenizer });
  return announced(model, onNotice);
}

function announced<T extends { readonly notices?: readonly string[] | undefined }>(opened: T, onNotice: OnNotice): T {
  for (const sentence of opened.notices ?? []) onNotice?.(sentence);
  return opened;
}

/** Which images of a data set are opened, and what for. */
export interface OpenOptions extends DatasetOptions {
  /** The number of images to keep, from the first; all of them by default. */
  readonly images?: number | undefined;
  /** Decides the split if none is named; scoring by default. */
  readonly purpose?: Purpose | undefined;
  /** The option that names the data set, where it is not the data set of the step itself. */
  readonly of?: OtherDataset | undefined;
}

/** The option of a step that names a data set, where it is not the data set of the step itself. */
export type OtherDataset = 'calibration' | 'validate';

/**
 * Does work on a data set. If an option `of` names it, sentences say that a setting of this data set is meant, such as `split` of
 * `calibration`.
 */
export async function inTermsOf<Options extends Pick<OpenOptions, 'of' | 'onNotice'>, T>(
  options: Options,
  work: (options: Options) => Promise<T>,
): Promise<T> {
  const { of, onNotice } = options;
  if (of === undefined) return work(options);
  const owned = (sentence: string) =>
    sentence.replace(/`(annotations|imagesRoot|split)`(?! of `)/g, `\`$1\` of \`${of}\``);
  try {
    return await work({ ...options, onNotice: onNotice && ((sentence: string) => onNotice(owned(sentence))) });
  } catch (error) {
    if (error instanceof Dino8Error) error.message = owned(error.message);
    throw error;
  }
}

/** True for a data set that is given by its path and options. */
export const isDatasetFiles = (source: object): source is DatasetFiles => 'path' in source && !('pathOf' in source);

/** Reads the labels of a data set that is given by its path, without its pictures. @throws UsageError or InputError */
export async function readSource(dataset: DatasetSource, options: OpenOptions): Promise<CocoDataset> {
  return inTermsOf(options, async ({ purpose, onNotice, onProgress, signal }) => {
    const work = { purpose, onNotice, onProgress, signal };
    if (typeof dataset === 'string') return readDataset(dataset, work);
    if (!isDatasetFiles(dataset)) return dataset;
    const { path, ...files } = dataset;
    return readDataset(path, { ...files, ...work });
  });
}

/**
 * Opens a data set: reads its labels, and checks that the pictures to be used exist and can be read.
 *
 * @throws UsageError or InputError if there is no readable data set
 */
export async function openDataset(dataset: DatasetSource, options: OpenOptions = {}): Promise<CocoDataset> {
  const read = await readSource(dataset, options);
  const { images = Number.POSITIVE_INFINITY, onProgress, signal, onNotice } = options;
  const { skipUnreadable, onLeftOut, maxPixels } = options;
  const checks = { onProgress, signal, onNotice, skipUnreadable, onLeftOut, maxPixels };
  return inTermsOf({ of: options.of, ...checks }, ({ of: _, ...worded }) =>
    checkPictures(takeImages(read, images), worded),
  );
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
