/**
 * A model as a folder: its graph as `onnx/model.onnx` (where transformers.js looks for it) or as its halves `text.onnx`
 * and `detect.onnx`; beside them, in Hugging Face's formats, the configuration, the tokenizer and the preprocessing.
 */
import { join } from 'node:path';
import { UsageError } from '../../base/errors.ts';
import { exists, makeDirectory, writeAtomic } from '../../base/files.ts';
import { getMetadata } from '../../onnx/metadata.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { writeModel } from '../../onnx/write.ts';
import { extractHalf, joinHalves } from '../grounding-dino/grounding-dino.ts';

/** The files that a model needs beside its graph, and the metadata key of each where it travels inside an ONNX file. */
export const FILES = {
  config: ['config.json', 'dino8.config'],
  preprocessing: ['preprocessor_config.json', 'dino8.preprocessing'],
  tokenizer: ['tokenizer.json', 'dino8.tokenizer'],
  tokenizerConfig: ['tokenizer_config.json', 'dino8.tokenizer_config'],
} as const;

export type FileKey = keyof typeof FILES;

export type FolderForm = 'combined' | 'halves';

const GRAPHS: Record<FolderForm, readonly string[]> = {
  combined: ['onnx/model.onnx'],
  halves: ['text.onnx', 'detect.onnx'],
};

/** What Hugging Face's libraries look for, and a checkpoint in the original format does not say. */
const DEFAULTS: Partial<Record<FileKey, Record<string, unknown>>> = {
  config: { architectures: ['GroundingDinoForObjectDetection'] },
  preprocessing: {
    image_processor_type: 'GroundingDinoImageProcessor',
    processor_class: 'GroundingDinoProcessor',
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
    do_pad: true,
    resample: 2, // bilinear, in Pillow's numbering
  },
};

/** The combined model of a folder of ONNX files; undefined if it holds none, or a checkpoint, which comes first. */
export async function readModelFolder(folder: string): Promise<Model | undefined> {
  for (const checkpoint of ['model.safetensors', 'model.safetensors.index.json'])
    if (await exists(join(folder, checkpoint))) return undefined;
  if (await holds(folder, 'combined')) return readModel(join(folder, 'onnx', 'model.onnx'));
  if (!(await holds(folder, 'halves'))) return undefined;
  const [text, detect] = [await readModel(join(folder, 'text.onnx')), await readModel(join(folder, 'detect.onnx'))];
  return joinHalves(text, detect);
}

/**
 * Writes a model that carries its files as metadata. `preprocessing`: the settings, each of them spelled out.
 * @throws UsageError if the folder holds a model in the other form, or a checkpoint
 */
export async function writeModelFolder(
  model: Model,
  preprocessing: object,
  folder: string,
  form: FolderForm,
): Promise<void> {
  const other = form === 'combined' ? 'halves' : 'combined';
  const inTheWay = [...GRAPHS[other], 'model.safetensors', 'model.safetensors.index.json'];
  for (const name of inTheWay)
    if (await exists(join(folder, name)))
      throw new UsageError(
        `${folder} already holds ${name}, which would be read in place of this model; name another.`,
      );
  await makeDirectory(form === 'combined' ? join(folder, 'onnx') : folder);
  const stored = (key: FileKey) => JSON.parse(getMetadata(model, FILES[key][1]) ?? '{}');
  await writeCompanions(stored, preprocessing, folder);
  if (form === 'combined') return writeModel(model, join(folder, 'onnx', 'model.onnx'));
  for (const half of ['text', 'detect'] as const)
    await writeModel(extractHalf(model, half), join(folder, `${half}.onnx`));
}

/** Writes the files beside a model, each with what Hugging Face's libraries look for. `stored`: what is known of each. */
export async function writeCompanions(
  stored: (key: FileKey) => object,
  preprocessing: object,
  folder: string,
): Promise<void> {
  for (const key of Object.keys(FILES) as FileKey[]) {
    const settings = key === 'preprocessing' ? { ...preprocessing, ...stored(key) } : stored(key);
    const text = JSON.stringify({ ...DEFAULTS[key], ...settings }, undefined, 1);
    await writeAtomic(join(folder, FILES[key][0]), `${text}\n`);
  }
}

async function holds(folder: string, form: FolderForm): Promise<boolean> {
  for (const name of GRAPHS[form]) if (!(await exists(join(folder, name)))) return false;
  return true;
}
