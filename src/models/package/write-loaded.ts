/** Writing a model of any family. */
import { UsageError } from '../../base/errors.ts';
import { writeModel } from '../../onnx/write.ts';
import type { LoadedModel } from '../family.ts';
import { isOneFile } from './model-files.ts';
import { isPackage, writePackage } from './package.ts';

/**
 * Writes a model: a detector with its companions, as `writePackage` does, and any other model as one ONNX file.
 *
 * @throws UsageError if a model without companions is to be written as a folder
 */
export async function writeLoadedModel(loaded: LoadedModel, path: string): Promise<void> {
  if (isPackage(loaded)) return writePackage(loaded, path);
  if (!(await isOneFile(path)))
    throw new UsageError(`${path} must end in .onnx, because ${loaded.source} has no tokenizer and no configuration.`);
  await writeModel(loaded.model, path);
}
