/** Writes trained weights as a Hugging Face folder, which dino8 and the Python library transformers read. */
import { join } from 'node:path';
import { makeDirectory } from '../base/files.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { writeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { writeCompanions } from '../models/package/package-folder.ts';

/**
 * Writes a checkpoint with its configuration and tokenizer.
 * @param source the checkpoint whose companions are written
 * @param tensors the weights to write
 * @param folder is made if it does not exist
 * @throws InputError if a file cannot be written
 * @example
 * await writeCheckpoint(checkpoint, training.checkpoint('averages'), 'tuned');
 */
export async function writeCheckpoint(source: CheckpointPackage, tensors: Checkpoint, folder: string): Promise<void> {
  await makeDirectory(folder);
  await writeCompanions((key) => source.files[key] as object, source.preprocessing, folder, source.family); // JSON objects, as read
  await writeSafetensors(tensors, join(folder, 'model.safetensors'), { format: 'pt' });
}
