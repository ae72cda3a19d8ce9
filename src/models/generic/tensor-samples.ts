/** Samples from files of arrays: one file is one sample, and its arrays have the names of the model's inputs. */

import { createHash } from 'node:crypto';
import { extname, join } from 'node:path';
import { checkPath, checkValue, listOf, text } from '../../base/check-options.ts';
import { UsageError } from '../../base/errors.ts';
import { isDirectory, namesIn, readBytes } from '../../base/files.ts';
import { parseNpy } from '../../data/npy.ts';
import { parseNpz } from '../../data/npz.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import type { Model } from '../../onnx/read.ts';
import type { SampleSource } from '../../quant/observe/sample.ts';
import { type Tensor, tensorOf } from '../../runtime/tensor.ts';
import { parseSafetensors } from '../checkpoint/safetensors.ts';
import { checkFeeds, chooseInput, modelInputs } from './check-feeds.ts';
import { fileIdentity } from './file-identity.ts';

const EXTENSIONS: readonly string[] = ['.npz', '.safetensors', '.npy'];

/** True if the name of a file says that it holds arrays. */
export const isTensorFile = (path: string): boolean => EXTENSIONS.includes(extname(path).toLowerCase());

const LARGEST_FILE = 2 ** 31;

/**
 * Finds files of arrays (`.npz`, `.npy` or `.safetensors`).
 * @param path a file, or a folder of files
 * @returns the paths in the order of their names
 * @throws UsageError if there is none
 * @example
 * const files = await findTensorFiles('calibration/'); // ['calibration/000.npz', …]
 */
export async function findTensorFiles(path: string): Promise<string[]> {
  checkPath(path);
  const names = (await isDirectory(path)) ? await namesIn(path) : undefined;
  const found = names ? names.filter(isTensorFile).map((name) => join(path, name)) : [path].filter(isTensorFile);
  if (found.length === 0)
    throw new UsageError(`${path} names no arrays; give a .npz, .safetensors or .npy file, or a folder of them.`);
  return found.sort();
}

/**
 * Reads the arrays of a file by name.
 *
 * @param input the name that the one array of a `.npy` file gets
 * @throws UsageError if there is no such file; InputError if it is damaged or has content that is not supported
 */
async function readTensorFile(path: string, input: () => string): Promise<Map<string, Tensor>> {
  const bytes = await readBytes(path, LARGEST_FILE);
  switch (extname(path).toLowerCase()) {
    case '.npz':
      return parseNpz(bytes, path);
    case '.npy':
      return new Map([[input(), await parseNpy(bytes, path)]]);
    default: {
      const stored = parseSafetensors(bytes, path);
      return new Map([...stored].map(([name, tensor]) => [name, tensorOf(tensor)]));
    }
  }
}

const pathsSchema = listOf('a list of paths', text);

/**
 * Samples from files of arrays. Every array must be an input of the model, with its name, element type and shape; batches
 * stay as they are in the file. A `.npy` file is the input of a model that has only one.
 *
 * @param paths files, in the order of the samples
 * @throws UsageError or InputError, when the samples are read, if a file is not a sample of this model
 * @example
 * import { calibrate } from 'dino8/quant';
 *
 * const samples = tensorSamples(model, await findTensorFiles('calibration/'));
 * const statistics = await calibrate(model, plan.valuesToObserve, samples);
 */
export function tensorSamples(model: Model, paths: readonly string[]): SampleSource {
  checkValue('The paths', pathsSchema, paths);
  checkModelArgument(model);
  const inputs = modelInputs(model);
  const hash = createHash('sha256');
  for (const path of paths) hash.update(fileIdentity(path));
  return {
    total: paths.length,
    key: `arrays:${hash.digest('hex')}`,
    async *samples(accept = () => true) {
      for (const [place, path] of paths.entries()) {
        if (!accept(place)) continue;
        const tensors = await readTensorFile(path, () => chooseInput(inputs)[0]);
        yield { place, feeds: checkFeeds(tensors, inputs, path), source: path };
      }
    },
  };
}
