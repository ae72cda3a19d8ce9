/** Reads checkpoints of the original repository: one `.pth` file, with an optional `config.json` beside it. */
import { dirname, join } from 'node:path';
import { exists, readJson } from '../../../base/files.ts';
import { readTorchFile } from '../../checkpoint/torch-file.ts';
import { parseConfig } from '../config.ts';
import type { LoadedCheckpoint } from './hugging-face.ts';
import { inferConfig } from './infer-config.ts';
import { renameOriginal } from './original-names.ts';

/**
 * Reads the tensors of a `.pth` file, and the configuration from `config.json` beside it or else from the tensors' shapes.
 *
 * @throws InputError if the file is damaged or is no GroundingDINO checkpoint
 */
export async function readOriginal(path: string): Promise<LoadedCheckpoint> {
  const tensors = renameOriginal(await readTorchFile(path));
  const configPath = join(dirname(path), 'config.json');
  const config = (await exists(configPath))
    ? parseConfig(await readJson(configPath, 1 << 24), configPath)
    : inferConfig(tensors, path);
  return { config, tensors };
}
