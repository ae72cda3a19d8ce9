/**
 * Reads ONNX files. The bytes of the initializers stay views into the buffer of the file, so that the weights are in memory
 * only once.
 */
import { basename, dirname, isAbsolute, join, normalize, sep } from 'node:path';
import { clearField } from '@bufbuild/protobuf';
import { TensorProtoSchema } from 'onnx-buf';
import { InputError } from '../base/errors.ts';
import { isInsideFolderOf, readBytes } from '../base/files.ts';
import { type Model, parseModel } from './parse.ts';
import { checkTensorSize, isExternal } from './tensor.ts';
import { tensorsOf } from './traverse.ts';
import type { TensorProto } from './types.ts';

export { type Model, parseModel } from './parse.ts';

/**
 * Reads a model and its external data.
 * @throws UsageError if the file does not exist; InputError, which names the file, if it is not a well-formed ONNX model
 * @example
 * const model = await readModel('detector.onnx');
 * console.log(model.graph.input.map(({ name }) => name));
 */
export async function readModel(path: string): Promise<Model> {
  const model = parseModel(await readBytes(path), path);
  await readExternalData(model, path);
  return model;
}

/**
 * Replaces references to external files by views into them. Each file is read once. A reference that leaves the folder of
 * the model is refused, since the file may come from a stranger.
 */
async function readExternalData(model: Model, path: string): Promise<void> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const tensor of tensorsOf(model)) {
    if (!isExternal(tensor)) continue;
    const { location, offset, length } = externalReference(tensor, path);
    let bytes = files.get(location);
    if (!bytes) {
      const file = join(dirname(path), location);
      if (!(await isInsideFolderOf(path, file)))
        throw new InputError(
          `${path}: the initializer ${tensor.name} points to "${location}", a symbolic link that leaves the folder of ${basename(path)}; refused.`,
        );
      bytes = await readBytes(file);
      files.set(location, bytes);
    }
    const end = length === undefined ? bytes.length : offset + length;
    if (end > bytes.length)
      throw new InputError(
        `${path}: the initializer ${tensor.name} needs bytes up to ${end} of ${location}, which has only ${bytes.length}.`,
      );
    tensor.rawData = bytes.subarray(offset, end);
    clearField(tensor, TensorProtoSchema.field.dataLocation);
    clearField(tensor, TensorProtoSchema.field.externalData);
    checkTensorSize(tensor);
  }
}

function externalReference(tensor: TensorProto, path: string) {
  const entries = new Map(tensor.externalData.map((entry) => [entry.key, entry.value]));
  const location = normalize(entries.get('location') ?? '');
  if (location === '.' || isAbsolute(location) || location.split(sep).includes('..'))
    throw new InputError(
      `${path}: the initializer ${tensor.name} points to "${entries.get('location') ?? ''}", outside the folder of ${basename(path)}; refused.`,
    );
  const number = (key: string) => {
    const text = entries.get(key);
    if (text === undefined) return undefined;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value) || value < 0)
      throw new InputError(`${path}: the initializer ${tensor.name} has the impossible ${key} "${text}".`);
    return value;
  };
  return { location, offset: number('offset') ?? 0, length: number('length') };
}
