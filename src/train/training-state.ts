/**
 * A training as a file, complete: what it takes to go on with the same numbers as if it had not stopped. It is a
 * safetensors file of the blocks of the `ParameterStore`, with the number of steps done beside.
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

const headSchema = z.strictObject({
  step: z.number().int().min(0),
  /** What the training depends on: another key is another training. */
  key: z.string(),
});

export type TrainingHead = z.output<typeof headSchema>;

/** What a file may have beside the blocks. */
const LARGEST_HEAD = 1 << 20;

const METADATA = 'dino8.training';

export async function writeTrainingState(store: ParameterStore, head: TrainingHead, path: string): Promise<void> {
  const tensors = new Map(
    BLOCKS.map((name) => {
      const block = store.blocks[name];
      return [name, { type: DataType.FLOAT, shape: [block.length], bytes: bytesOf(block) }] as const;
    }),
  );
  await writeSafetensors(tensors, path, { [METADATA]: JSON.stringify(head) });
}

/**
 * Fills the blocks of `store` from a file, if there is one, and answers the number of steps done.
 * @throws InputError if the file is damaged or of another training
 */
export async function readTrainingState(store: ParameterStore, key: string, path: string): Promise<number> {
  if (!(await exists(path))) return 0;
  const expected = BLOCKS.reduce((sum, name) => sum + store.blocks[name].byteLength, 0);
  const { head, tensors } = parseTrainingState(await readBytes(path, expected + LARGEST_HEAD), path);
  if (head.key !== key)
    throw new InputError(
      `${path} is of a training with other data or settings; give the same ones, remove it to start anew, or write elsewhere.`,
    );
  for (const name of BLOCKS) {
    const stored = tensors.get(name);
    if (stored?.type !== DataType.FLOAT || stored.shape[0] !== store.blocks[name].length)
      throw new InputError(`${path} has no block ${name} of ${store.blocks[name].length} floats; the file is damaged.`);
    store.blocks[name].set(viewAs(DataType.FLOAT, stored.bytes) as Float32Array); // by its type
  }
  return head.step;
}

/** Checks the bytes of a file of a training; `path` names it in errors. */
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
