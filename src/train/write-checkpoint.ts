/** Trained weights as a Hugging Face folder, which dino8 and transformers read. */
import { join } from 'node:path';
import { makeDirectory } from '../base/files.ts';
import type { Checkpoint } from '../models/checkpoint/checkpoint.ts';
import { writeSafetensors } from '../models/checkpoint/write-safetensors.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { writeCompanions } from '../models/package/package-folder.ts';

export async function writeCheckpoint(source: CheckpointPackage, tensors: Checkpoint, folder: string): Promise<void> {
  await makeDirectory(folder);
  await writeCompanions((key) => source.files[key] as object, source.preprocessing, folder, source.family); // JSON objects, as read
  await writeSafetensors(tensors, join(folder, 'model.safetensors'), { format: 'pt' });
}
