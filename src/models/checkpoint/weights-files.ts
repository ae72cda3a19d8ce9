/** Reads the weights of a checkpoint from the file or the files that hold them, in any format that dino8 knows. */
import { basename, join } from 'node:path';
import { z } from 'zod';
import { contentKind, foreignKind, isWeightsKind } from '../../base/content-kind.ts';
import { InputError, UsageError } from '../../base/errors.ts';
import { exists, isInsideFolderOf, namesIn, readBytes } from '../../base/files.ts';
import { readJsonAs } from '../../base/read-json-as.ts';
import { describeFolder } from './folder-contents.ts';
import { parseSafetensors } from './safetensors.ts';
import { parseTorchFile } from './torch-file.ts';
import { findWeightSets, type WeightSet, weightSetOf } from './weight-sets.ts';

/** The files that hold a Hugging Face folder's weights, in the order in which transformers looks for them. */
export const WEIGHTS_FILES = [
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
];

/** The file of an adapter, which changes the weights beside it when transformers reads the folder. */
const ADAPTER = 'adapter_config.json';

const LARGEST_INDEX = 1 << 26;
const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

/**
 * Reads a file of `torch.save` or of safetensors, whatever its name.
 *
 * @throws InputError if it is damaged or of another kind
 */
export async function readWeightsFile(path: string): Promise<WeightSet[]> {
  const file = await readBytes(path);
  const kind = contentKind(file);
  if (kind === 'safetensors') return [weightSetOf(parseSafetensors(file, path))];
  if (isWeightsKind(kind)) return findWeightSets(await parseTorchFile(file, path), path);
  const what = foreignKind(kind) ?? (kind === 'json' ? describeJson(file) : undefined);
  throw new InputError(
    `${path} ${what ?? 'is neither a file of torch.save nor one of safetensors; is it complete, and the right file?'}${what ? '.' : ''}`,
  );
}

/**
 * Reads the weights of a Hugging Face folder, from the first of `WEIGHTS_FILES` that is there.
 *
 * @throws UsageError if there are none; InputError if a file is damaged
 */
export async function readWeightsFolder(folder: string): Promise<WeightSet[]> {
  if (await exists(join(folder, ADAPTER)))
    throw new UsageError(
      `${folder} holds an adapter (${ADAPTER}), which transformers would add to the weights; merge it into them with merge_and_unload, and save the model.`,
    );
  for (const name of WEIGHTS_FILES) {
    const path = join(folder, name);
    if (!(await exists(path))) continue;
    return name.endsWith('.index.json') ? [await readShards(folder, path)] : readWeightsFile(path);
  }
  throw new UsageError(
    `${folder} has no weights (${WEIGHTS_FILES[0]} or ${WEIGHTS_FILES[2]}, or their shards): ${describeFolder(await namesIn(folder))}`,
  );
}

/** The tensors of the files that an index names, each checked to be in the file that the index says. */
async function readShards(folder: string, indexPath: string): Promise<WeightSet> {
  const { weight_map: shardOf } = await readJsonAs(indexSchema, indexPath, LARGEST_INDEX);
  const setOf = new Map<string, WeightSet>();
  const files = new Map<string, readonly WeightSet[]>();
  for (const [name, shard] of Object.entries(shardOf)) {
    if (shard !== basename(shard))
      throw new InputError(`${indexPath} names the shard "${shard}", outside its folder; refused.`);
    const path = join(folder, shard);
    if (!files.has(shard) && !(await isInsideFolderOf(indexPath, path)))
      throw new InputError(`${indexPath} names the shard "${shard}", a symbolic link that leaves its folder; refused.`);
    const sets = files.get(shard) ?? (await readWeightsFile(path));
    files.set(shard, sets);
    const set = sets.find((each) => each.names.has(name));
    if (!set) throw new InputError(`${path} lacks the tensor ${name} that ${basename(indexPath)} says it holds.`);
    setOf.set(name, set);
  }
  return {
    path: [],
    names: new Set(setOf.keys()),
    averaged: false,
    read: (name) => {
      const set = setOf.get(name);
      if (!set) throw new Error(`${name} is not in the set`);
      return set.read(name);
    },
  };
}

/** Describes a JSON file in the place of weights. Servers send one when a file does not exist or may not be read. */
function describeJson(file: Uint8Array): string {
  let value: unknown;
  try {
    value = file.length < LARGEST_INDEX ? JSON.parse(new TextDecoder().decode(file)) : undefined;
  } catch {
    return 'is damaged JSON in place of weights';
  }
  const { success: isIndex } = indexSchema.safeParse(value);
  if (isIndex) return 'is the index of a checkpoint in shards; name its folder';
  const { data } = z.object({ error: z.string() }).safeParse(value);
  const answer = data && `, "${data.error.replace(/\s+/g, ' ').slice(0, 100)}"`;
  return data
    ? `is the answer of a server${answer}, in place of the file; download it again`
    : 'is JSON, which holds no weights';
}
