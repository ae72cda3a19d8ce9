/**
 * Reading and writing models. A detector is a package: its graph with the configuration, the tokenizer and the image
 * preprocessing. On disk it is a checkpoint (a Hugging Face folder or one file of weights), one ONNX file that carries the
 * other three as metadata, or a folder of ONNX files with the three beside them (see package-folder.ts). Any other ONNX file
 * is a model of the generic family, without companions.
 */
import { dirname, join } from 'node:path';
import {
  abortSignal,
  checkOptions,
  checkPath,
  checkValue,
  type OptionSchemas,
  oneOf,
  optional,
  text,
  truth,
} from '../../base/check-options.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, isDirectory, namesIn } from '../../base/files.ts';
import { completeSettings, type Preprocessing, parsePreprocessing } from '../../data/preprocessing.ts';
import { getMetadata, setMetadata } from '../../onnx/metadata.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { writeModel } from '../../onnx/write.ts';
import type { WeightOptions } from '../checkpoint/choose-weights.ts';
import { describeFolder } from '../checkpoint/folder-contents.ts';
import { findFamily, weightsFileFamily } from '../families.ts';
import {
  checkFamilyArgument,
  checkLoadedArgument,
  detectionOf,
  type LoadedModel,
  type ModelFamily,
} from '../family.ts';
import type { FamilyCheckpoint, FamilyDefinition } from '../family-definition.ts';
import { openGeneric } from '../generic/family.ts';
import type { TokenizerFiles } from '../tokenizer-schema.ts';
import { readCompanion } from './companion-json.ts';
import { findPreprocessing } from './find-preprocessing.ts';
import { findTokenizer } from './find-tokenizer.ts';
import { isOneFile } from './model-files.ts';
import { hashWeights, storeWeightsHash } from './model-identity.ts';
import { FILES, type FileKey, type FolderForm, readModelFolder, writeModelFolder } from './package-folder.ts';
import { isWeightsFile } from './weights-file-kind.ts';

/** A detector with everything that is needed to use it. */
export interface ModelPackage extends LoadedModel {
  /** How images become the input of the model. */
  readonly preprocessing: Preprocessing;
  /** The files of the tokenizer. */
  readonly tokenizer: TokenizerFiles;
}

/** A checkpoint with all files that travel with it: the input of building a model and of training. */
export interface CheckpointPackage extends FamilyCheckpoint {
  /** Where the checkpoint came from, for messages. */
  readonly source: string;
  /** The family that the model belongs to. */
  readonly family: ModelFamily;
  /** How images become the input of the model. */
  readonly preprocessing: Preprocessing;
  /** The files of the tokenizer. */
  readonly tokenizer: TokenizerFiles;
  /** The parsed JSON of the files beside the weights, as they are to be kept. */
  readonly files: Readonly<Record<FileKey, unknown>>;
  /** Sentences about what was not as usual when the checkpoint was read, which a user should see. */
  readonly notices?: readonly string[] | undefined;
}

/** The contents of the files that travel with a model. */
type Companions = Readonly<Record<FileKey, unknown>>;

/** What is wanted of a checkpoint that holds or lacks something. A model that is built already takes none of it. */
export interface ReadOptions extends WeightOptions {
  /** A folder with the files of the tokenizer; by default the checkpoint's own folder, or else the folder above it. */
  readonly tokenizer?: string | undefined;
  /** Stops between reading the files and building the graph, and before and after each; what was read is dropped. */
  readonly signal?: AbortSignal | undefined;
}

/** What the options of reading a model must be. */
export const readSchemas: OptionSchemas<ReadOptions> = {
  ema: optional(truth),
  tokenizer: optional(text),
  signal: optional(abortSignal),
};

/**
 * Reads any model, and finds its family from the file itself: a Hugging Face folder or one file of weights (with the
 * tokenizer's files beside it), whose graph is built; an ONNX file or a folder of them that dino8 wrote; or any other ONNX
 * file, which is of the generic family.
 *
 * @throws UsageError if the path names no model; InputError if a file is damaged or of an unknown family; the reason of
 * `options.signal` if it was aborted
 * @example
 * const loaded = await loadModel('detector.onnx');
 * console.log(loaded.family.name);
 */
export async function loadModel(path: string, options: ReadOptions = {}): Promise<LoadedModel> {
  checkPath(path);
  checkOptions('loadModel', readSchemas, options);
  options.signal?.throwIfAborted();
  const loaded = await loadAny(path, options);
  options.signal?.throwIfAborted();
  return loaded;
}

async function loadAny(path: string, options: ReadOptions): Promise<LoadedModel> {
  if (await isDirectory(path)) return readFolder(path, options);
  if (await isWeightsFile(path)) return buildFrom(path, options);
  refuseReadOptions(path, options);
  const model = await readModel(path);
  options.signal?.throwIfAborted();
  const isPackage = getMetadata(model, FILES.config[1]) !== undefined;
  return isPackage ? assemble(path, model, companionsOf(path, model)) : openGeneric(path, model);
}

/**
 * Reads a detector, as `loadModel` does.
 *
 * @throws UsageError if the model is no detector that carries its configuration and tokenizer
 * @example
 * await using detector = await Detector.create(await readPackage('detector.onnx'));
 */
export async function readPackage(path: string, options: ReadOptions = {}): Promise<ModelPackage> {
  return asPackage(await loadModel(path, options));
}

async function buildFrom(path: string, options: ReadOptions): Promise<ModelPackage> {
  const checkpoint = await readCheckpoint(path, options);
  options.signal?.throwIfAborted();
  return buildPackage(checkpoint);
}

/** `loaded` as a detector. @throws UsageError if it is none */
export function asPackage(loaded: LoadedModel): ModelPackage {
  if (isPackage(loaded)) return loaded;
  throw new UsageError(
    `${loaded.source} does not carry a tokenizer and a configuration, which this step needs; use a detector that dino8 converted, or a Hugging Face folder.`,
  );
}

/** Whether a model carries its tokenizer and its preprocessing. */
export function isPackage(loaded: LoadedModel): loaded is ModelPackage {
  return 'tokenizer' in loaded && 'preprocessing' in loaded;
}

/** A model that is built already has its weights and its tokenizer. @throws UsageError if an option asks for others */
export function refuseReadOptions(path: string, { ema, tokenizer }: ReadOptions): void {
  const given = ema ? '`ema`' : tokenizer === undefined ? undefined : '`tokenizer`';
  if (given)
    throw new UsageError(
      `${given} is for checkpoints, and ${path} is a built model; leave it out, or name the checkpoint.`,
    );
}

async function readFolder(path: string, options: ReadOptions): Promise<ModelPackage> {
  const found = await readModelFolder(path);
  if (!found) return buildFrom(path, options);
  refuseReadOptions(path, options);
  const first = found.form === 'combined' ? found.model : found.text;
  const loaded = assemble(path, first, companionsOf(path, first));
  await checkPreprocessing(path, loaded.preprocessing);
  return found.form === 'combined'
    ? loaded
    : { ...loaded, model: detectionOf(loaded).joinHalves(found.text, found.detect) };
}

/** A model carries its settings, so those beside it in the folder would change nothing if someone edited them. */
async function checkPreprocessing(folder: string, carried: Preprocessing): Promise<void> {
  const { settings, name } = await findPreprocessing(folder, folder, { isFolder: false, tokenizerFolder: folder });
  if (settings === undefined) return;
  if (JSON.stringify(parsePreprocessing(settings, name)) !== JSON.stringify(carried))
    throw new InputError(
      `${name} differs from the preprocessing that the model in the folder was built with; change it in the checkpoint, and convert that again.`,
    );
}

/**
 * Reads a checkpoint: a Hugging Face folder, or one file of weights with the tokenizer's files beside it.
 *
 * @throws UsageError if the path names no checkpoint; InputError if a file is damaged or of an unknown family
 * @example
 * const { tensors } = await readCheckpoint('grounding-dino-tiny/');
 */
export async function readCheckpoint(path: string, options: ReadOptions = {}): Promise<CheckpointPackage> {
  checkPath(path);
  checkOptions('readCheckpoint', readSchemas, options);
  if (!(await isDirectory(path))) {
    if (!weightsFileFamily.readFile || !(await isWeightsFile(path)))
      throw new UsageError(
        `${path} is a built model; name the checkpoint that it was made from, a folder or a file of weights.`,
      );
    return withFiles(path, dirname(path), weightsFileFamily, await weightsFileFamily.readFile(path, options), options);
  }
  const configPath = join(path, FILES.config[0]);
  if (!(await exists(configPath)))
    throw new UsageError(`${path} has no config.json: ${describeFolder(await namesIn(path))}`);
  const family = findFamily(await readCompanion(configPath), configPath);
  return withFiles(path, path, family, await family.readFolder(path, options), options);
}

/** Adds the files in `folder` that travel with the checkpoint. */
async function withFiles(
  source: string,
  folder: string,
  definition: FamilyDefinition,
  checkpoint: FamilyCheckpoint,
  options: ReadOptions,
): Promise<CheckpointPackage> {
  const tokenizer = await findTokenizer(
    source,
    folder,
    options.tokenizer,
    definition.vocabularySize(checkpoint.config),
  );
  // Only folders of Hugging Face must state the preprocessing: of one file of weights it is that of the published models.
  const places = { isFolder: source === folder, tokenizerFolder: tokenizer.folder };
  const found = await findPreprocessing(source, folder, places);
  const preprocessing = parsePreprocessing(found.settings ?? {}, found.name, definition.imageProcessors);
  const files: Companions = {
    config: checkpoint.config,
    preprocessing: completeSettings(found.settings, preprocessing),
    tokenizer: tokenizer.files.tokenizer,
    tokenizerConfig: tokenizer.files.config,
  };
  return {
    ...checkpoint,
    source,
    files,
    preprocessing,
    family: definition.open(checkpoint.config, preprocessing, `${source}: config.json`),
    tokenizer: tokenizer.files,
    notices: [...(checkpoint.notices ?? []), ...tokenizer.notices, ...found.notices],
  };
}

/**
 * Builds the graph of a checkpoint.
 *
 * @throws InputError that lists every tensor that is missing or has another shape
 * @example
 * const float = await buildPackage(await readCheckpoint('grounding-dino-tiny/'));
 * await writePackage(float, 'tiny.onnx');
 */
export async function buildPackage(checkpoint: CheckpointPackage): Promise<ModelPackage> {
  checkFamilyArgument(checkpoint);
  const { source, family, tensors, preprocessing, tokenizer, files, notices } = checkpoint;
  if (!family.buildModel) throw new UsageError(`${source} is a checkpoint whose graph dino8 cannot build.`);
  const model = await family.buildModel(tensors, source);
  for (const [key, value] of Object.entries(files)) setMetadata(model, FILES[key as FileKey][1], JSON.stringify(value)); // keys of FILES
  storeWeightsHash(model, hashWeights(tensors));
  return { source, model, family, preprocessing, tokenizer, notices };
}

/** The files that a model carries as metadata. */
function companionsOf(path: string, model: Model): Companions {
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
  return {
    config: read('config'),
    preprocessing: read('preprocessing'),
    tokenizer: read('tokenizer'),
    tokenizerConfig: read('tokenizerConfig'),
  };
}

function assemble(source: string, model: Model, { config, tokenizer, ...files }: Companions): ModelPackage {
  const definition = findFamily(config, `${source}: config.json`);
  const { imageProcessors } = definition;
  const preprocessing = parsePreprocessing(files.preprocessing, `${source}: preprocessor_config.json`, imageProcessors);
  definition.renew?.(model);
  return {
    source,
    model,
    family: definition.open(config, preprocessing, `${source}: config.json`),
    preprocessing,
    tokenizer: { tokenizer, config: files.tokenizerConfig },
  };
}

/**
 * Writes a model: to a path that ends in `.onnx` as one file (with external data beyond 2 GiB), else as a folder, which only
 * a detector can be.
 *
 * @throws UsageError if the folder already holds a model in another form, or the model is no detector
 * @example
 * const float = await readPackage('detector.onnx');
 * await writePackage(float, 'web/'); // a folder as transformers.js reads it
 */
export async function writePackage(loaded: LoadedModel, path: string, form: FolderForm = 'combined'): Promise<void> {
  checkLoadedArgument(loaded);
  checkPath(path);
  checkValue('The form of a folder', oneOf(['combined', 'halves']), form);
  if (await isOneFile(path)) return writeModel(loaded.model, path);
  if (!isPackage(loaded))
    throw new UsageError(
      `${path} must end in .onnx, because ${loaded.source} has no files that would go into a folder.`,
    );
  await writeModelFolder(loaded, path, form);
}
