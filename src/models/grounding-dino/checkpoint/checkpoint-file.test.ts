/** The original repository's checkpoints have every tensor of Hugging Face's, and their shapes tell the configuration. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import type { Checkpoint } from '../../checkpoint/checkpoint.ts';
import { parseTorchFile } from '../../checkpoint/torch-file.ts';
import { findWeightSets } from '../../checkpoint/weight-sets.ts';
import { readHuggingFace } from './hugging-face.ts';
import { inferConfig } from './infer-config.ts';
import { networkTensors } from './read-weights.ts';

const folder = join(packageRoot, 'test/fixtures/golden/original');
const file = new Uint8Array(gunzipSync(readFileSync(join(folder, 'nano-small-tensors.pth.gz'))));
let original: Checkpoint;
let expected: Awaited<ReturnType<typeof readHuggingFace>>;
beforeAll(async () => {
  original = networkTensors(findWeightSets(await parseTorchFile(file, 'nano.pth'), 'nano.pth'), 'nano.pth', {}).tensors;
  expected = await readHuggingFace(join(packageRoot, 'assets/nano'));
});

test('the file has every tensor of the Hugging Face checkpoint with its name and shape, and small ones with the same bits', () => {
  let compared = 0;
  for (const [name, tensor] of expected.tensors) {
    // Only Hugging Face saves Swin's classifier, which GroundingDINO does not use.
    if (name.startsWith('model.backbone.conv_encoder.model.swin.layernorm.')) continue;
    const found = original.get(name);
    expect(found?.shape, name).toEqual(tensor.shape);
    expect(found?.type, name).toBe(tensor.type);
    // Also the parts of fused biases: their order decides which is query, key and value.
    if (tensor.bytes.length > 600) continue;
    expect(Buffer.compare(found?.bytes ?? Buffer.alloc(0), tensor.bytes), name).toBe(0);
    compared++;
  }
  expect(compared).toBeGreaterThan(200);
});

test('the configuration follows from the tensors, except for settings that their shapes do not show', () => {
  const { config } = expected;
  // BERT's heads are taken to be of 64 channels, as in every published model; this one's are smaller.
  const heads = config.text_config.hidden_size / 64;
  const text_config = { ...config.text_config, num_attention_heads: heads };
  const { transformers_version: _, ...published } = { ...config, text_config, whole_text_positions: false };
  expect(inferConfig(original, 'nano.pth')).toEqual(published);
});

test('a file of another model is refused, and the error names a tensor that it lacks', () => {
  expect(() => inferConfig(new Map(), 'other.pth')).toThrow(/lacks model\.level_embed/);
});
