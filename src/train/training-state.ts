/**
 * The complete state of a training as a file: a training that is continued from it computes the same numbers as one that
 * was never interrupted. The file has the safetensors format, with a tensor for each block of the `ParameterStore` and
 * the number of finished steps in its metadata.
 */
import { z } from 'zod';
import { InputError, messageOf } from '../base/errors.ts';
import { exists, readBytes } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';
import { parseSafetensors, safetensorsMetadata } from '../models/checkpoint/safetensors.ts';
import { writeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import { bytesOf, viewAs } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { BLOCKS, type ParameterStore } from './parameter-store.ts';
import { keyDifference, type TrainingKey } from './training-key.ts';

const headSchema = z.strictObject({
  /** The number of finished steps. */
  step: z.number().int().min(0),
  /** Everything that the training depends on: another key is another training. */
  key: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
});

/** The metadata of a training's state. */
export type TrainingHead = z.output<typeof headSchema>;

/** The maximum size in bytes of everything in the file but the blocks. */
const LARGEST_HEAD = 1 << 20;

const METADATA = 'dino8.training';

/** Writes the state of a training; the file that was there before stays until the new one is complete. */
export async function writeTrainingState(store: ParameterStore, head: TrainingHead, path: string): Promise<void> {
  const tensors = new Map(
    BLOCKS.map((name) => {
      const block = store.blocks[name];
      return [name, { type: DataType.FLOAT, shape: [block.length], bytes: bytesOf(block) }] as const;
    }),
  );
  await writeSafetensors(tensors, path, { [METADATA]: JSON.stringify(head) });
}

/** The settings that may differ in a training that is continued to another end. */
const FOLLOWING_LENGTH = ['steps', 'optimizer.averageDecay'] as const;

/**
 * Fills the blocks of `store` from a file.
 * @param longer also takes the state of a training that was planned for another number of steps
 * @returns the number of finished steps, 0 if there is no file
 * @throws InputError if the file is damaged or belongs to another training, naming what differs
 */
export async function readTrainingState(
  store: ParameterStore,
  key: TrainingKey,
  path: string,
  { longer = false }: { longer?: boolean } = {},
): Promise<number> {
  if (!(await exists(path))) return 0;
  const expected = BLOCKS.reduce((sum, name) => sum + store.blocks[name].byteLength, 0);
  const { head, tensors } = parseTrainingState(await readBytes(path, expected + LARGEST_HEAD), path);
  // The length of a training decides what is averaged too, unless it was stated. Both are judged below.
  const planned: Record<string, string | number | boolean> = { ...key };
  if (head.key.steps !== undefined && head.key.steps !== key.steps)
    for (const name of FOLLOWING_LENGTH) if (head.key[name] !== undefined) planned[name] = head.key[name];
  const difference = keyDifference(head.key, planned);
  if (difference !== undefined)
    throw new InputError(
      `${path} belongs to another training: ${difference}; give the same data and settings, remove it to start anew, or write elsewhere.`,
    );
  if (!longer && head.key.steps !== key.steps)
    throw new InputError(
      `${path} belongs to a training of ${head.key.steps} steps, and ${key.steps} are asked for; give the same number, or set \`longer\` to continue it to another end.`,
    );
  for (const name of BLOCKS) {
    const stored = tensors.get(name);
    if (stored?.type !== DataType.FLOAT || stored.shape[0] !== store.blocks[name].length)
      throw new InputError(`${path} has no block ${name} of ${store.blocks[name].length} floats; the file is damaged.`);
    store.blocks[name].set(viewAs(DataType.FLOAT, stored.bytes) as Float32Array); // by its type
  }
  return head.step;
}

/**
 * Parses the bytes of a training's state.
 * @param path for error messages
 * @throws InputError if the file is damaged or something else
 */
export function parseTrainingState(file: Uint8Array<ArrayBuffer>, path: string) {
  const text = safetensorsMetadata(file, path)[METADATA];
  if (text === undefined) throw new InputError(`${path} is not the state of a training.`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InputError(`${path} is damaged: its head is not JSON (${messageOf(error)}).`);
  }
  return { head: parseWith(headSchema, value, path), tensors: parseSafetensors(file, path) };
}
