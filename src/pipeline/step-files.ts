/** The check of the files of a step before it begins: no result is written over what the step reads. */
import { UsageError } from '../base/errors.ts';
import { exists, isDirectory } from '../base/files.ts';
import { checkOutputs } from '../base/output-paths.ts';
import type { CocoDataset } from '../data/coco.ts';
import { findAnnotationFiles } from '../data/datasets/coco-folder.ts';
import { externalFilesOf, filesReadWith, filesWrittenTo, isOneFile } from '../models/package/model-files.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import type { Calibration } from '../quant/observe/statistics-file.ts';
import { type AnyModelSource, type DatasetFiles, isDatasetFiles, type RecipeSource } from './sources.ts';

/** The option of every step that writes files. */
export interface OverwriteOptions {
  /** Allows a result to take the place of a file that the step reads; by default that is refused before the work begins. */
  readonly overwrite?: boolean | undefined;
}

/** The files of a step. What is given as an object was read before, and what was not asked for is undefined. */
export interface StepFiles extends OverwriteOptions {
  /** The files to write. */
  readonly outputs: readonly (string | undefined)[];
  /** The path of the model to write. */
  readonly modelOutput?: string | undefined;
  /** The models that are read. */
  readonly models?: readonly AnyModelSource[] | undefined;
  /** The folder of the tokenizer, if it is not that of a model. */
  readonly tokenizer?: string | undefined;
  /** The data sets, folders of arrays or pictures, and single pictures that are read. */
  readonly data?: readonly (string | DatasetFiles | CocoDataset | SampleSource | undefined)[] | undefined;
  /** The recipe, by name, path or as an object. */
  readonly recipe?: RecipeSource | undefined;
  /** The statistics that are read. */
  readonly statistics?: readonly (string | Calibration | undefined)[] | undefined;
}

/** @throws UsageError if an output has no folder, if two are the same file, or if one is an input and `overwrite` is not set */
export async function checkStepFiles(files: StepFiles): Promise<void> {
  const { outputs, modelOutput, models = [], recipe } = files;
  const inputs: (string | undefined)[] = [recipe, ...(files.statistics ?? [])].map(asPath);
  for (const model of files.tokenizer === undefined ? models : [...models, files.tokenizer])
    inputs.push(...(await filesReadWith(typeof model === 'string' ? model : model.source)));
  for (const output of outputs)
    if (output !== undefined && (/[\\/]$/.test(output) || (await isDirectory(output))))
      throw new UsageError(`${output} is a directory where a file is needed; name a file in it.`);
  const written = modelOutput === undefined ? [] : await filesOfOutput(modelOutput);
  await checkOutputs([...outputs, ...written], withData(inputs, files), { overwrite: files.overwrite });
}

/** The files of a model that is to be written which exist, or else its path. */
async function filesOfOutput(modelOutput: string): Promise<string[]> {
  if (!(await isOneFile(modelOutput)) && (await exists(modelOutput)) && !(await isDirectory(modelOutput)))
    throw new UsageError(
      `${modelOutput} is a file where a directory is needed; name another, or one that ends in .onnx.`,
    );
  const written: string[] = [];
  // A folder is made when the model is written, and what it does not hold is not written over.
  for (const path of await filesWrittenTo(modelOutput))
    if (path === modelOutput || (await exists(path))) written.push(path);
  return written.length > 0 ? written : [modelOutput];
}

const asPath = (value: string | object | undefined) => (typeof value === 'string' ? value : undefined);

/** The paths that take time to find are given one by one, because they are needed only if an output exists. */
async function* withData(
  inputs: readonly (string | undefined)[],
  { models = [], data = [] }: StepFiles,
): AsyncGenerator<string | undefined> {
  yield* inputs;
  for (const model of models) if (typeof model === 'string') yield* await externalFilesOf(model);
  for (const source of data) {
    if (typeof source === 'string') yield* filesOfPath(source);
    else if (source && isDatasetFiles(source)) {
      yield* [source.annotations, source.imagesRoot];
      yield* filesOfPath(source.path);
    } else if (source && 'images' in source) {
      yield source.source;
      for (const image of source.images) yield source.pathOf(image);
    }
  }
}

/** A path, and of a folder of pictures the labels, which may be beside it. */
async function* filesOfPath(path: string): AsyncGenerator<string> {
  yield path;
  if (await isDirectory(path)) for (const labels of await findAnnotationFiles(path)) yield labels.path;
}
