/** MM-Grounding-DINO under MMDetection's names computes what transformers computes under its own. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { bytesOf } from '../../../onnx/tensor.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, tensorOf } from '../../../runtime/tensor.ts';
import { readSafetensors } from '../../checkpoint/safetensors.ts';
import type { WeightSet } from '../../checkpoint/weight-sets.ts';
import { readWeightsFile } from '../../checkpoint/weights-files.ts';
import { buildModel } from '../grounding-dino.ts';
import { tokenTypes } from '../testing/token-types.ts';
import { readCheckpointFile } from './checkpoint-file.ts';
import { inferConfig } from './infer-config.ts';
import { networkTensors } from './read-weights.ts';

const folder = join(packageRoot, 'test/fixtures/checkpoints/mmdetection');
const file = join(folder, 'checkpoint.pth');

test('the outputs are those of transformers, with the four maps and five levels of the large models', async () => {
  const expected = await readSafetensors(join(folder, 'io.safetensors'));
  const stored = (name: string) => {
    const tensor = expected.get(name);
    if (!tensor) throw new Error(`${name} is in the file`);
    return tensorOf(tensor);
  };
  const model = await buildModel(await readCheckpointFile(file));
  await using session = await Session.create(modelBytes(model));
  const feeds = Object.fromEntries(
    [...session.inputs.keys()].filter((name) => expected.has(name)).map((name) => [name, stored(name)]),
  );
  using outputs = await session.run({ ...feeds, token_type_ids: tokenTypes(stored('input_ids')) });
  for (const [name, tolerance] of [
    ['logits', 1e-4],
    ['pred_boxes', 1e-5],
  ] as const) {
    const actual = floatData(outputs.get(name));
    for (const [index, value] of floatData(stored(name)).entries())
      if (value !== actual[index])
        expect(Math.abs(value - (actual[index] ?? Number.NaN)), name).toBeLessThan(tolerance);
  }
});

test('the configuration follows from the tensors, except for the sizes of heads of BERT', async () => {
  const { config, tensors } = await readCheckpointFile(file);
  const { text_config, whole_text_positions: _, transformers_version: __, max_text_len: ___, ...others } = config;
  // BERT's heads are taken to be of 64 channels, as in every published model; this one's are of four.
  const wider = new Map(tensors);
  for (const [name, tensor] of tensors)
    if (name === 'model.text_backbone.embeddings.word_embeddings.weight')
      wider.set(name, { ...tensor, shape: [text_config.vocab_size, 64] });
  expect(inferConfig(wider, file)).toMatchObject(others);
});

/** The file's weights with other class heads. */
async function withHeads(rename: (name: string) => string, value: number): Promise<WeightSet> {
  const [set] = await readWeightsFile(file);
  if (!set) throw new Error('there are weights');
  const names = new Map([...set.names].map((name) => [rename(name), name]));
  return {
    ...set,
    names: new Set(names.keys()),
    read: (name) => {
      const original = names.get(name) ?? '';
      const tensor = set.read(original);
      return original === name ? tensor : { ...tensor, bytes: bytesOf(Float32Array.of(value)) };
    },
  };
}

test('Grounding DINO as MMDetection converted it, with a factor exp(0) and no bias, is Grounding DINO', async () => {
  const set = await withHeads((name) => name.replace(/(cls_branches\.\d)\.bias/, '$1.log_scale'), 0);
  const { tensors } = networkTensors([set], 'a.pth', {});
  expect([...tensors.keys()].filter((name) => name.includes('class_embed'))).toEqual([]);
});

test('a learned factor, which neither of the two models computes, is refused by name', async () => {
  const set = await withHeads((name) => name.replace(/(cls_branches\.\d)\.bias/, '$1.log_scale'), 0.5);
  expect(() => networkTensors([set], 'a.pth', {})).toThrow(/cls_branches\.0\.log_scale is a learned scale.*0\.5/);
});

test('what LLMDet stores beside the detector does not count: its language model and what connects it', async () => {
  const [set] = await readWeightsFile(file);
  if (!set) throw new Error('there are weights');
  // The names that transformers' conversion of mm_grounding_dino leaves out.
  const others = [
    'lmm.model.embed_tokens.weight',
    'lmm.model.layers.0.self_attn.q_proj.weight',
    'connector.0.weight',
    'region_connector.0.weight',
    'image_seperate.weight',
    'ref_point_head.layers.0.weight',
    'language_model.language_backbone.body.model.embeddings.position_ids',
  ];
  const whole = { ...set, names: new Set([...set.names, ...others]) };
  const read = whole.read;
  whole.read = (name) => {
    if (others.includes(name) && !name.endsWith('position_ids')) throw new Error(`${name} was read`);
    return read(others.includes(name) ? 'level_embed' : name);
  };
  const expected = networkTensors([set], 'a.pth', {}).tensors;
  const { tensors } = networkTensors([whole], 'a.pth', {});
  const shapes = (of: typeof tensors) => Object.fromEntries([...of].map(([name, { shape }]) => [name, shape]));
  expect(shapes(tensors)).toEqual(shapes(expected));
});
