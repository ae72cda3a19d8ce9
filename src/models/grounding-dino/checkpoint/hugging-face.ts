/** Reads checkpoints in Hugging Face folders: `config.json` beside the weights, in one file or in shards with their index. */
import { join } from 'node:path';
import { UsageError } from '../../../base/errors.ts';
import { exists, isDirectory, readJson } from '../../../base/files.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import type { WeightOptions } from '../../checkpoint/choose-weights.ts';
import { readWeightsFolder } from '../../checkpoint/weights-files.ts';
import { type Config, parseConfig } from '../config.ts';
import { networkTensors } from './read-weights.ts';

/** The weights of a GroundingDINO model with its configuration. */
export interface LoadedCheckpoint {
  /** The parsed configuration. */
  readonly config: Config;
  /** The weights, by their names in Hugging Face's implementation. */
  readonly tensors: Checkpoint;
  /** Sentences about the checkpoint that a user should see. */
  readonly notices?: readonly string[] | undefined;
}

/**
 * Reads the configuration and the tensors of a folder. All tensors have the names of one release of transformers.
 *
 * @param options which weights are wanted, if the folder holds several
 * @throws UsageError if the folder is no checkpoint; InputError if a file in it is damaged
 * @example
 * const { config, tensors } = await readHuggingFace('grounding-dino-tiny');
 */
export async function readHuggingFace(folder: string, options: WeightOptions = {}): Promise<LoadedCheckpoint> {
  if (!(await isDirectory(folder))) {
    const found = (await exists(folder)) ? 'is a file' : 'does not exist';
    throw new UsageError(`${folder} ${found}; a Hugging Face folder with config.json and model.safetensors is needed.`);
  }
  const configPath = join(folder, 'config.json');
  const config = parseConfig(await readJson(configPath, 1 << 24), configPath);
  const { tensors, notices } = networkTensors(await readWeightsFolder(folder), folder, options);
  return { config: withHeads(config, tensors), tensors, notices };
}

/**
 * The configuration of MM-Grounding-DINO with what it does not say: whether heads are shared. Published checkpoints have one
 * head for each layer; transformers 5 may save one head for all.
 */
export function withHeads(config: Config, tensors: Checkpoint): Config {
  if (config.model_type !== 'mm-grounding-dino') return config;
  return { ...config, decoder_bbox_embed_share: !tensors.has('bbox_embed.1.layers.0.weight') };
}
