/** Writes trained weights as a Hugging Face folder, which dino8 and the Python library transformers read. */

import { checkPath } from '../base/check-options.ts';
import { type Content, writeFolder } from '../base/write-folder.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { encodeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import { checkFamilyArgument } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { companionFiles, type FileKey } from '../models/package/package-folder.ts';

const WEIGHTS = 'model.safetensors';

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
  checkFamilyArgument(source);
  checkPath(folder);
  const stored = (key: FileKey) => source.files[key] as object; // JSON objects, as read
  const files = await companionFiles(stored, source.preprocessing, folder, source.family);
  const weights = encodeSafetensors(tensors, { format: 'pt' });
  await writeFolder(folder, new Map<string, Content>([...files, [WEIGHTS, weights]]), [WEIGHTS]);
}
