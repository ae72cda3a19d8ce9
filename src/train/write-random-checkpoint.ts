/** Writes a checkpoint of any size with random weights, a few tensors at a time, for measurements that weights do not matter to. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { Dino8Error } from '../base/errors.ts';
import { fileError, makeDirectory, writeAtomic } from '../base/files.ts';
import { encodeHeader } from '../models/checkpoint/write-safetensors.ts';
import { trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { companionFiles, type FileKey } from '../models/package/package-folder.ts';
import { DataType, elementCount } from '../onnx/types.ts';

/** The bytes of the tensors that are drawn together. A tensor of more is drawn alone. */
const AT_ONCE = 64e6;
const FLOAT_BYTES = 4;

/** What a random checkpoint has beside its weights. */
export type CheckpointCompanions = Pick<CheckpointPackage, 'source' | 'family' | 'preprocessing' | 'files'>;

/** Options of `writeRandomCheckpoint`. */
export interface RandomCheckpointOptions {
  /** The seed of the weights. */
  readonly seed: number;
  /** Called with the bytes that are written, and those of all tensors. */
  readonly onBytes?: ((done: number, total: number) => void) | undefined;
  /** Stops between two parts. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes a Hugging Face folder whose weights are random, as a training from scratch draws them.
 * @returns the number of parameters
 * @throws InputError if a file cannot be written
 */
export async function writeRandomCheckpoint(
  companions: CheckpointCompanions,
  folder: string,
  { seed, onBytes, signal }: RandomCheckpointOptions,
): Promise<number> {
  const { tensorShapes, initialWeights } = trainingOf(companions);
  const tensors = [...tensorShapes()].map(([name, shape]) => {
    return { name, type: DataType.FLOAT, shape, size: FLOAT_BYTES * elementCount(shape) };
  });
  const total = tensors.reduce((sum, { size }) => sum + size, 0);
  await makeDirectory(folder);
  const stored = (key: FileKey) => companions.files[key] as object; // JSON objects, as read
  const files = await companionFiles(stored, companions.preprocessing, folder, companions.family);
  for (const [name, content] of files) await writeAtomic(join(folder, name), content);
  const path = join(folder, 'model.safetensors');
  try {
    await using file = await open(path, 'w');
    for (const piece of encodeHeader(tensors, { format: 'pt' })) await file.appendFile(piece);
    let done = 0;
    for (const [index, part] of parts(tensors).entries()) {
      signal?.throwIfAborted();
      const wanted = part.map(({ name, shape, type }) => [name, { type, shape, bytes: new Uint8Array(0) }] as const);
      // Each part has a seed of its own; of one seed, two parts would have the same numbers.
      const drawn = await initialWeights(new Map(wanted), tensors.length * seed + index);
      for (const { bytes } of drawn.values()) await file.appendFile(bytes);
      done += part.reduce((sum, { size }) => sum + size, 0);
      onBytes?.(done, total);
    }
  } catch (error) {
    signal?.throwIfAborted();
    throw error instanceof Dino8Error ? error : fileError('write', path, error);
  }
  return total / FLOAT_BYTES;
}

/** Neighbours that together have at most `AT_ONCE` bytes. */
function parts<Sized extends { readonly size: number }>(tensors: readonly Sized[]): Sized[][] {
  const result: Sized[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const tensor of tensors) {
    if (bytes + tensor.size > AT_ONCE) {
      result.push([]);
      bytes = 0;
    }
    result.at(-1)?.push(tensor);
    bytes += tensor.size;
  }
  return result;
}
