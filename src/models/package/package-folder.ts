/**
 * A model in a folder: its graph as `onnx/model.onnx` (where transformers.js looks for it) or as its halves `text.onnx`
 * and `detect.onnx`; beside them, in Hugging Face's formats, the configuration, the tokenizer and the preprocessing.
 */
import { join } from 'node:path';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists } from '../../base/files.ts';
import { type Content, writeFolder } from '../../base/write-folder.ts';
import { completeSettings, type Preprocessing } from '../../data/preprocessing.ts';
import { modelHash } from '../../onnx/hash.ts';
import { getMetadata, removeMetadata, setMetadata } from '../../onnx/metadata.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { modelFiles } from '../../onnx/write.ts';
import { WEIGHTS_FILES } from '../checkpoint/weights-files.ts';
import { detectionOf, type LoadedModel, type ModelFamily } from '../family.ts';
import { nestedPreprocessing } from './find-preprocessing.ts';

/** The files that a model needs beside its graph, each with its metadata key inside an ONNX file. */
export const FILES: Readonly<Record<FileKey, readonly [file: string, metadata: string]>> = {
  config: ['config.json', 'dino8.config'],
  preprocessing: ['preprocessor_config.json', 'dino8.preprocessing'],
  tokenizer: ['tokenizer.json', 'dino8.tokenizer'],
  tokenizerConfig: ['tokenizer_config.json', 'dino8.tokenizer_config'],
};

/** The files that travel with a model. */
export type FileKey = 'config' | 'preprocessing' | 'tokenizer' | 'tokenizerConfig';

/** The forms of a folder: the graph in one file, or as its two halves. */
export type FolderForm = 'combined' | 'halves';

const COMBINED = 'onnx/model.onnx';

export const GRAPHS: Readonly<Record<FolderForm, readonly string[]>> = {
  combined: [COMBINED],
  halves: ['text.onnx', 'detect.onnx'],
};

/** The model of a folder of ONNX files, combined or in its halves. */
export type FolderModel =
  | { readonly form: 'combined'; readonly model: Model }
  | { readonly form: 'halves'; readonly text: Model; readonly detect: Model };

/** Reads a folder of ONNX files; undefined if it holds none, or also holds a checkpoint, which has priority. */
export async function readModelFolder(folder: string): Promise<FolderModel | undefined> {
  for (const checkpoint of WEIGHTS_FILES) if (await exists(join(folder, checkpoint))) return undefined;
  if (await holds(folder, 'combined'))
    return { form: 'combined', model: await readModel(join(folder, 'onnx', 'model.onnx')) };
  if (!(await holds(folder, 'halves'))) return undefined;
  const [text, detect] = [await readModel(join(folder, 'text.onnx')), await readModel(join(folder, 'detect.onnx'))];
  checkSameModel(text, detect, folder);
  return { form: 'halves', text, detect };
}

/** The metadata by which the halves of one model know each other: the hash of that model. */
const WHOLE = 'dino8.half_of';

/** @throws InputError if two halves were cut from different models; halves of former versions do not tell */
function checkSameModel(text: Model, detect: Model, folder: string): void {
  if (getMetadata(text, WHOLE) !== getMetadata(detect, WHOLE))
    throw new InputError(
      `${folder} holds halves of different models, text.onnx and detect.onnx; write the folder again, from one model.`,
    );
  for (const half of [text, detect]) removeMetadata(half, WHOLE);
}

/** The content of a folder: a model that carries its other files as metadata. */
export interface WrittenPackage extends LoadedModel {
  /** The settings of the preprocessing, each of them spelled out. */
  readonly preprocessing: Preprocessing;
}

/**
 * Writes a model as a folder.
 *
 * @throws UsageError if the folder holds a model in the other form or a checkpoint, or if the model has no halves
 */
export async function writeModelFolder(written: WrittenPackage, folder: string, form: FolderForm): Promise<void> {
  const { model, preprocessing, family } = written;
  const other = form === 'combined' ? 'halves' : 'combined';
  for (const name of [...GRAPHS[other], ...WEIGHTS_FILES])
    if (await exists(join(folder, name)))
      throw new UsageError(
        `${folder} already holds ${name}, which would be read in place of this model; name another.`,
      );
  const stored = (key: FileKey) => JSON.parse(getMetadata(model, FILES[key][1]) ?? '{}');
  const files = new Map<string, Content>(await companionFiles(stored, preprocessing, folder, family));
  const add = (graph: Model, path: string) => {
    for (const [name, content] of modelFiles(graph, path)) files.set(name, content);
  };
  if (form === 'combined') add(model, COMBINED);
  else {
    const { extractHalf } = detectionOf(written);
    const whole = modelHash(model);
    for (const half of ['text', 'detect'] as const) {
      const graph = extractHalf(model, half);
      setMetadata(graph, WHOLE, whole);
      add(graph, `${half}.onnx`);
    }
  }
  await writeFolder(folder, files, GRAPHS[form]);
}

/**
 * The contents of the files beside a model by their names, each with the settings that Hugging Face's libraries look for.
 *
 * @param stored returns the settings that are known for a file
 * @param preprocessing the settings of the preprocessing, each of them spelled out
 * @throws UsageError if the folder states another preprocessing in a file that has priority
 */
export async function companionFiles(
  stored: (key: FileKey) => object,
  preprocessing: Preprocessing,
  folder: string,
  { companionDefaults: defaults }: Pick<ModelFamily, 'companionDefaults'>,
): Promise<Map<string, string>> {
  if ((await nestedPreprocessing(folder)) !== undefined)
    throw new UsageError(
      `${folder} already holds processor_config.json, whose preprocessing would be read in place of that of this model; name another.`,
    );
  const files = new Map<string, string>();
  for (const key of Object.keys(FILES) as FileKey[]) {
    // The keys of a constant record, whose type `Object.keys` does not tell.
    const settings = key === 'preprocessing' ? completeSettings(stored(key), preprocessing) : stored(key);
    const added = key === 'config' || key === 'preprocessing' ? defaults?.[key] : undefined;
    files.set(FILES[key][0], `${JSON.stringify({ ...added, ...settings }, undefined, 1)}\n`);
  }
  return files;
}

async function holds(folder: string, form: FolderForm): Promise<boolean> {
  for (const name of GRAPHS[form]) if (!(await exists(join(folder, name)))) return false;
  return true;
}
