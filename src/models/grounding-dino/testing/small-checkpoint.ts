/**
 * A checkpoint of a few layers for tests of what surrounds a network: interruptions, files, messages. It is the bundled
 * checkpoint with the first layer of each stack alone and images of 64x96 pixels by default, so it runs about ten times faster. Its
 * detections mean nothing: tests of accuracy use the bundled checkpoint itself.
 */
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../../base/package-root.ts';
import { readSafetensors } from '../../checkpoint/safetensors.ts';
import { writeSafetensors } from '../../checkpoint/write-safetensors.ts';

/** The number of queries, and so of detections of an image. */
const QUERIES = 20;

/** Matches the tensors of all layers but the first. The layers of the backbone's encoder are stages, of which each has blocks. */
const LATER_LAYER =
  /^model\.(encoder|decoder)\.layers\.[1-9]|^model\.text_backbone\.encoder\.layer\.[1-9]|\.blocks\.[1-9]/;

/**
 * Writes the checkpoint in Hugging Face's layout and returns the path of its folder, which must not exist yet.
 * @param size the size in pixels that images are brought to
 */
export async function writeSmallCheckpoint(folder: string, size = { height: 64, width: 96 }): Promise<string> {
  const nano = join(packageRoot, 'assets/nano');
  const readSettings = async (name: string) => JSON.parse(await readFile(join(nano, name), 'utf8'));
  const writeSettings = (name: string, settings: unknown) => writeFile(join(folder, name), JSON.stringify(settings));
  await mkdir(folder);
  for (const name of ['tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'])
    await copyFile(join(nano, name), join(folder, name));

  const preprocessing = await readSettings('preprocessor_config.json');
  await writeSettings('preprocessor_config.json', {
    ...preprocessing,
    size: { shortest_edge: size.height, longest_edge: size.width },
  });
  const config = await readSettings('config.json');
  await writeSettings('config.json', {
    ...config,
    encoder_layers: 1,
    decoder_layers: 1,
    num_queries: QUERIES,
    backbone_config: { ...config.backbone_config, depths: [1, 1, 1, 1] },
    text_config: { ...config.text_config, num_hidden_layers: 1 },
  });

  const tensors = new Map([...(await readSafetensors(join(nano, 'model.safetensors')))]);
  for (const name of [...tensors.keys()]) if (LATER_LAYER.test(name)) tensors.delete(name);
  const name = 'model.query_position_embeddings.weight';
  const queries = tensors.get(name);
  if (!queries) throw new Error(`The bundled checkpoint has no ${name}.`);
  const [all = 0, width = 0] = queries.shape;
  const bytes = queries.bytes.subarray(0, (queries.bytes.length / all) * QUERIES);
  tensors.set(name, { ...queries, shape: [QUERIES, width], bytes });
  await writeSafetensors(tensors, join(folder, 'model.safetensors'));
  return folder;
}
