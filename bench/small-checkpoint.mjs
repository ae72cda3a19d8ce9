// A checkpoint of a few layers for work whose results need not mean anything. It runs about ten times faster than the bundled one.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readSafetensors } from '../dist/models.mjs';
import { DataType } from '../dist/onnx.mjs';

const nano = join(dirname(fileURLToPath(import.meta.url)), '../assets/nano');

/** The bundled checkpoint with the first layer of each stack alone, and small images. */
export async function writeSmallCheckpoint(folder) {
  mkdirSync(folder);
  const settings = (name) => JSON.parse(readFileSync(join(nano, name)));
  const write = (name, value) => writeFileSync(join(folder, name), JSON.stringify(value));
  for (const name of ['tokenizer.json', 'tokenizer_config.json']) cpSync(join(nano, name), join(folder, name));
  const size = { shortest_edge: 64, longest_edge: 96 };
  write('preprocessor_config.json', { ...settings('preprocessor_config.json'), size });
  const config = settings('config.json');
  write('config.json', {
    ...config,
    encoder_layers: 1,
    decoder_layers: 1,
    num_queries: 20,
    backbone_config: { ...config.backbone_config, depths: [1, 1, 1, 1] },
    text_config: { ...config.text_config, num_hidden_layers: 1 },
  });
  const later = /^model\.(encoder|decoder)\.layers\.[1-9]|^model\.text_backbone\.encoder\.layer\.[1-9]|\.blocks\.[1-9]/;
  const header = {};
  const pieces = [];
  let offset = 0;
  for (const [name, { type, shape, bytes }] of await readSafetensors(join(nano, 'model.safetensors'))) {
    if (later.test(name)) continue;
    const rows = name === 'model.query_position_embeddings.weight' ? 20 : shape[0];
    const kept = rows === shape[0] ? bytes : bytes.subarray(0, (bytes.length / shape[0]) * rows);
    header[name] = {
      dtype: type === DataType.FLOAT ? 'F32' : 'I64',
      shape: shape.length === 0 ? [] : [rows, ...shape.slice(1)],
      data_offsets: [offset, offset + kept.length],
    };
    pieces.push(kept);
    offset += kept.length;
  }
  writeFileSync(join(folder, 'model.safetensors'), safetensors(header, pieces));
}

/** A file of tensors, of its header and their bytes. */
export function safetensors(header, pieces) {
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...pieces]);
}
