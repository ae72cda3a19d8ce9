/** Checkpoints of the original repository: one `.pth` file, and what its user put beside it. */
import { dirname, join } from 'node:path';
import { exists, readJson } from '../../../base/files.ts';
import { readTorchFile } from '../../checkpoint/torch-file.ts';
import { parseConfig } from '../config.ts';
import type { LoadedCheckpoint } from './hugging-face.ts';
import { inferConfig } from './infer-config.ts';
import { renameOriginal } from './original-names.ts';

/** Reads the tensors, and the configuration from `config.json` beside the file or else from the tensors' shapes. */
export async function readOriginal(path: string): Promise<LoadedCheckpoint> {
  const tensors = renameOriginal(await readTorchFile(path));
  const configPath = join(dirname(path), 'config.json');
  const config = (await exists(configPath))
    ? parseConfig(await readJson(configPath, 1 << 24), configPath)
    : inferConfig(tensors, path);
  return { config, tensors };
}
