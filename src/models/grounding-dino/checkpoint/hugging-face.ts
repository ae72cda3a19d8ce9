/** Reads checkpoints in Hugging Face folders: `config.json` beside `model.safetensors`, or beside shards and their index. */
import { basename, join } from 'node:path';
import { z } from 'zod';
import { InputError, UsageError } from '../../../base/errors.ts';
import { exists, isDirectory, readJson } from '../../../base/files.ts';
import { readJsonAs } from '../../../base/schema.ts';
import type { Checkpoint, StoredTensor } from '../../checkpoint/checkpoint.ts';
import { readSafetensors } from '../../checkpoint/safetensors.ts';
import { type Config, parseConfig } from '../config.ts';

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/** The weights of a GroundingDINO model with its configuration. */
export interface LoadedCheckpoint {
  /** The parsed configuration. */
  readonly config: Config;
  /** The weights, by their names in Hugging Face's implementation. */
  readonly tensors: Checkpoint;
}

/**
 * Reads the configuration and the tensors of a folder. All tensors have the names of one release of transformers.
 *
 * @throws UsageError if the folder is no checkpoint; InputError if a file in it is damaged
 * @example
 * const { config, tensors } = await readHuggingFace('grounding-dino-tiny');
 */
export async function readHuggingFace(folder: string): Promise<LoadedCheckpoint> {
  if (!(await isDirectory(folder))) {
    const found = (await exists(folder)) ? 'is a file' : 'does not exist';
    throw new UsageError(`${folder} ${found}; a Hugging Face folder with config.json and model.safetensors is needed.`);
  }
  const configPath = join(folder, 'config.json');
  const config = parseConfig(await readJson(configPath, 1 << 24), configPath);
  const tensors = withHeadNames(await readTensors(folder));
  if (config.model_type !== 'mm-grounding-dino') return { config, tensors };
  // The configuration does not say whether heads are shared. Published checkpoints have one head for each layer; transformers 5 may save one head for all.
  return { config: { ...config, decoder_bbox_embed_share: !tensors.has('bbox_embed.1.layers.0.weight') }, tensors };
}

/** Returns the first of the two names that a tensor of a decoder's head may have; other names are returned unchanged. */
export const headName = (name: string): string => name.replace(/^model\.decoder\.(?=(?:bbox|class)_embed\.)/, '');

/**
 * The decoder's heads are registered twice, as `bbox_embed` and `model.decoder.bbox_embed`; the version of
 * transformers decides under which name a tensor is saved. In dino8 all have the first name.
 */
function withHeadNames(tensors: Checkpoint): Checkpoint {
  const named = new Map(tensors);
  for (const [name, tensor] of tensors) {
    const short = headName(name);
    if (!named.has(short)) named.set(short, tensor);
  }
  return named;
}

async function readTensors(folder: string): Promise<Checkpoint> {
  const single = join(folder, 'model.safetensors');
  if (await exists(single)) return readSafetensors(single);
  const indexPath = join(folder, 'model.safetensors.index.json');
  if (!(await exists(indexPath)))
    throw new UsageError(
      `${folder} has neither model.safetensors nor model.safetensors.index.json; is the checkpoint complete?`,
    );
  const { weight_map: shardOf } = await readJsonAs(indexSchema, indexPath);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of new Set(Object.values(shardOf))) {
    if (shard !== basename(shard))
      throw new InputError(`${indexPath} names the shard "${shard}", outside its folder; refused.`);
    const path = join(folder, shard);
    const found = await readSafetensors(path);
    for (const [name, owner] of Object.entries(shardOf)) {
      if (owner !== shard) continue;
      const tensor = found.get(name);
      if (!tensor) throw new InputError(`${path} lacks the tensor ${name} that ${basename(indexPath)} says it holds.`);
      tensors.set(name, tensor);
    }
  }
  return tensors;
}
