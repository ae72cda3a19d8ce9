/** Tells whether a path names a file of weights or a built model, by its content, and says what it is if it is neither. */
import { basename, dirname, extname } from 'node:path';
import { contentKind, foreignKind, isWeightsKind, KIND_BYTES } from '../../base/content-kind.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, missingFile, readStart } from '../../base/files.ts';

/** Extensions of files that can only be meant as weights, whatever they hold. */
const WEIGHTS_EXTENSIONS = ['.pth', '.pt', '.ckpt', '.bin', '.safetensors', '.pkl'];
/** Other extensions of files. A missing path with one of them is no identifier of a model on the Hub. */
const FILE_EXTENSIONS = [...WEIGHTS_EXTENSIONS, '.onnx', '.json', '.gguf', '.engine'];

/** The name of a file that holds a part of the weights. */
const SHARD = /-\d{5}-of-\d{5}\.\w+$/;

/**
 * Whether a file holds weights, as opposed to an ONNX model.
 *
 * @throws UsageError if the path does not exist or names a part of a checkpoint; InputError if the file is something else
 */
export async function isWeightsFile(path: string): Promise<boolean> {
  if (!(await exists(path))) throw new UsageError(await missingModel(path));
  const kind = contentKind(await readStart(path, KIND_BYTES));
  const foreign = foreignKind(kind);
  if (foreign) throw new InputError(`${path} ${foreign}.`);
  const isWeights = isWeightsKind(kind);
  if (isWeights && SHARD.test(path))
    throw new UsageError(`${path} is one of the files of a checkpoint; name their folder, ${dirname(path)}.`);
  return isWeights || kind === 'json' || WEIGHTS_EXTENSIONS.includes(extname(path).toLowerCase());
}

/** What to do about a path at which there is nothing: it may be the address of a model, or its identifier on the Hub. */
async function missingModel(path: string): Promise<string> {
  const id = path.match(/^(?:(?:https?:\/\/)?huggingface\.co\/)?([\w-][\w.-]*\/[\w.-]+)\/?$/)?.[1];
  const isFile = FILE_EXTENSIONS.includes(extname(path).toLowerCase());
  if (id && !isFile && !(await exists(dirname(path)))) {
    const folder = basename(id);
    return `${path} does not exist here, and dino8 does not download; if it is a model on the Hugging Face Hub, get its files with "hf download ${id} --local-dir ${folder}" (or "git lfs install" and "git clone https://huggingface.co/${id}") and name the folder ${folder}.`;
  }
  return missingFile(path).message;
}
