/**
 * A model with all that is needed to use it: the graph, the configuration, the tokenizer, the image preprocessing.
 * On disk it is a checkpoint (a Hugging Face folder or an original `.pth`), one ONNX file that carries the other three
 * as metadata, or a folder of ONNX files with the three beside them (see package-folder).
 */
import { dirname, extname, join } from 'node:path';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, isDirectory, readJson } from '../../base/files.ts';
import { parseWith } from '../../base/schema.ts';
import { type Preprocessing, preprocessingSchema } from '../../data/preprocessing.ts';
import { getMetadata, setMetadata } from '../../onnx/metadata.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { writeModel } from '../../onnx/write.ts';
import type { LoadedModel, ModelFamily } from '../family.ts';
import { type LoadedCheckpoint, readHuggingFace } from '../grounding-dino/checkpoint/hugging-face.ts';
import { readOriginal } from '../grounding-dino/checkpoint/original.ts';
import { type Config, parseConfig } from '../grounding-dino/config.ts';
import { groundingDino } from '../grounding-dino/family.ts';
import { buildModel } from '../grounding-dino/grounding-dino.ts';
import type { TokenizerFiles } from '../tokenizer.ts';
import { FILES, type FileKey, type FolderForm, readModelFolder, writeModelFolder } from './package-folder.ts';

/** A detector with everything that is needed to use it. */
export interface ModelPackage extends LoadedModel {
  readonly config: Config;
  readonly preprocessing: Preprocessing;
  readonly tokenizer: TokenizerFiles;
}

const LARGEST_JSON = 1 << 26;

/**
 * Reads a model: from a Hugging Face folder or an original `.pth` (with the tokenizer's files beside it), building its
 * graph, or from an ONNX file or a folder of them that dino8 wrote.
 */
export async function readPackage(path: string): Promise<ModelPackage> {
  if (await isDirectory(path)) {
    const model = await readModelFolder(path);
    return model ? withMetadata(path, model) : buildPackage(await readCheckpoint(path));
  }
  if (['.pth', '.pt'].includes(extname(path))) return buildPackage(await readCheckpoint(path));
  if (extname(path) === '.safetensors')
    throw new UsageError(`${path} is one file of a checkpoint; name the folder that holds it and its config.json.`);
  return withMetadata(path, await readModel(path));
}

/** A checkpoint with all that travels with it: what a model is built from, and what is trained. */
export interface CheckpointPackage extends LoadedCheckpoint {
  readonly source: string;
  readonly family: ModelFamily;
  readonly preprocessing: Preprocessing;
  readonly tokenizer: TokenizerFiles;
  /** The files beside the weights, as they are to be kept. */
  readonly files: Readonly<Record<FileKey, unknown>>;
}

/** Reads a Hugging Face folder or an original `.pth`. @throws UsageError if it is no checkpoint */
export async function readCheckpoint(path: string): Promise<CheckpointPackage> {
  if (['.pth', '.pt'].includes(extname(path))) return withFiles(path, dirname(path), await readOriginal(path));
  if (extname(path) === '.onnx')
    throw new UsageError(`${path} is a built model; name the checkpoint that it was made from, a folder or a .pth.`);
  return withFiles(path, path, await readHuggingFace(path));
}

/** `folder` holds the files that travel with the checkpoint. */
async function withFiles(source: string, folder: string, checkpoint: LoadedCheckpoint): Promise<CheckpointPackage> {
  const read = (key: FileKey) => readJson(join(folder, FILES[key][0]), LARGEST_JSON);
  const settings = join(folder, FILES.preprocessing[0]);
  const files: Record<FileKey, unknown> = {
    config: checkpoint.config,
    // The published models share their preprocessing, which is the default of each setting.
    preprocessing: (await exists(settings)) ? await read('preprocessing') : {},
    tokenizer: await read('tokenizer'),
    tokenizerConfig: await read('tokenizerConfig'),
  };
  const preprocessing = parsePreprocessing(files.preprocessing, source);
  return {
    ...checkpoint,
    source,
    files,
    preprocessing,
    family: groundingDino(checkpoint.config, preprocessing),
    tokenizer: { tokenizer: files.tokenizer, config: files.tokenizerConfig },
  };
}

/** Builds the graph of a checkpoint. */
export async function buildPackage(checkpoint: CheckpointPackage): Promise<ModelPackage> {
  const { source, files } = checkpoint;
  const model = await buildModel(checkpoint, { source });
  for (const [key, value] of Object.entries(files)) setMetadata(model, FILES[key as FileKey][1], JSON.stringify(value)); // keys of FILES
  return assemble(source, model, files);
}

const parsePreprocessing = (value: unknown, source: string) =>
  parseWith(preprocessingSchema, value, `${source}: preprocessor_config.json`);

function withMetadata(path: string, model: Model): ModelPackage {
  const read = (key: FileKey): unknown => {
    const text = getMetadata(model, FILES[key][1]);
    if (text === undefined)
      throw new InputError(
        `${path} does not carry its ${FILES[key][0]}; use a model that dino8 wrote, or a Hugging Face folder.`,
      );
    try {
      return JSON.parse(text);
    } catch {
      throw new InputError(`${path} carries a ${FILES[key][0]} that is not valid JSON.`);
    }
  };
  return assemble(path, model, {
    config: read('config'),
    preprocessing: read('preprocessing'),
    tokenizer: read('tokenizer'),
    tokenizerConfig: read('tokenizerConfig'),
  });
}

function assemble(source: string, model: Model, texts: Readonly<Record<FileKey, unknown>>): ModelPackage {
  const config = parseConfig(texts.config, `${source}: config.json`);
  const preprocessing = parsePreprocessing(texts.preprocessing, source);
  return {
    source,
    model,
    family: groundingDino(config, preprocessing),
    config,
    preprocessing,
    tokenizer: { tokenizer: texts.tokenizer, config: texts.tokenizerConfig },
  };
}

/**
 * Writes a model: to a path that ends in `.onnx` as one file (and its external data beyond 2 GiB), else as a folder.
 * @throws UsageError if the folder already holds a model in another form
 */
export async function writePackage(
  { model, preprocessing }: ModelPackage,
  path: string,
  form: FolderForm = 'combined',
): Promise<void> {
  if (extname(path) === '.onnx') await writeModel(model, path);
  else await writeModelFolder(model, preprocessing, path, form);
}
