/** Reads checkpoints that are one file, with an optional `config.json` beside it. */
import { dirname, join } from 'node:path';
import { exists, readJson } from '../../../base/files.ts';
import type { WeightOptions } from '../../checkpoint/choose-weights.ts';
import { readWeightsFile } from '../../checkpoint/weights-files.ts';
import { parseConfig } from '../config.ts';
import { type LoadedCheckpoint, withHeads } from './hugging-face.ts';
import { inferConfig } from './infer-config.ts';
import { networkTensors } from './read-weights.ts';

/**
 * Reads the tensors of a file of `torch.save` or of safetensors, and the configuration from `config.json` beside it or else
 * from the tensors' shapes.
 *
 * @throws InputError if the file is damaged or is no checkpoint of this family
 */
export async function readCheckpointFile(path: string, options: WeightOptions = {}): Promise<LoadedCheckpoint> {
  const { tensors, notices } = networkTensors(await readWeightsFile(path), path, options);
  const configPath = join(dirname(path), 'config.json');
  const config = (await exists(configPath))
    ? withHeads(parseConfig(await readJson(configPath, 1 << 24), configPath), tensors)
    : inferConfig(tensors, path);
  return { config, tensors, notices };
}
