/** The files of a model on disk: those that are read for a path, and those that are written to one. */
import { readdir } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { InputError, UsageError } from '../../base/errors.ts';
import { readBytes } from '../../base/files.ts';
import { isStream } from '../../base/write-place.ts';
import { parseModel } from '../../onnx/read.ts';
import { isExternal } from '../../onnx/tensor.ts';
import { tensorsOf } from '../../onnx/traverse.ts';
import { FILES, GRAPHS } from './package-folder.ts';

/** The files of a checkpoint or a model's folder, by their extensions. */
const READ_EXTENSIONS = new Set(['.json', '.txt', '.model', '.safetensors', '.bin', '.pth', '.pt', '.ckpt']);

const COMPANIONS = Object.values(FILES).map(([name]) => name);
/** The weights of a checkpoint that is written. */
const CHECKPOINT = 'model.safetensors';
const GRAPH_FILES = Object.values(GRAPHS).flat();

/**
 * The files that reading a model may take: of a folder its graphs, weights and settings; of an ONNX file its external data too;
 * of another file the settings beside it.
 * @param path the path of the model; one that does not exist has no files but itself
 */
export async function filesReadWith(path: string): Promise<string[]> {
  const names = await readdir(path).catch(() => undefined);
  if (names)
    return [...names.filter((name) => READ_EXTENSIONS.has(extname(name).toLowerCase())), ...GRAPH_FILES].map((name) =>
      join(path, name),
    );
  if (extname(path) === '.onnx') return [path, `${path}.data`, `${path}_data`];
  return [path, ...COMPANIONS.map((name) => join(dirname(path), name))];
}

/** The files of the external data that an ONNX file names, whatever they are called; none if it is no ONNX file. */
export async function externalFilesOf(path: string): Promise<string[]> {
  if (extname(path) !== '.onnx') return [];
  try {
    const named = [...tensorsOf(parseModel(await readBytes(path), path))].filter(isExternal);
    const locations = named.flatMap(({ externalData }) => externalData.filter(({ key }) => key === 'location'));
    return [...new Set(locations.map(({ value }) => join(dirname(path), value)))];
  } catch (error) {
    // Whoever reads the model says what is wrong with it.
    if (error instanceof InputError || error instanceof UsageError) return [];
    throw error;
  }
}

/** Whether a model is written to `path` as one ONNX file: by the extension, or because a device or a pipe is there. */
export async function isOneFile(path: string): Promise<boolean> {
  return extname(path) === '.onnx' || (await isStream(path));
}

/** The files that writing a model to a path may write: one ONNX file, or those of a folder. */
export async function filesWrittenTo(path: string): Promise<string[]> {
  if (await isOneFile(path)) return [path];
  return [...COMPANIONS, ...GRAPH_FILES, CHECKPOINT].map((name) => join(path, name));
}
