/** Which of a checkpoint's weights are taken, from files that PyTorch wrote under the keys and prefixes of several programs. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../../../base/errors.ts';
import { packageRoot } from '../../../base/package-root.ts';
import { bytesOf } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { floatData, tensorOf } from '../../../runtime/tensor.ts';
import { weightSetOf } from '../../checkpoint/weight-sets.ts';
import { readWeightsFile } from '../../checkpoint/weights-files.ts';
import { networkTensors } from './read-weights.ts';

const folder = join(packageRoot, 'test/fixtures/checkpoints/weights');

/** The value of the weights that are taken (1 are the training's own, 2 the average), and what is said. */
async function taken(name: string, ema = false) {
  const { tensors, notices } = networkTensors(await readWeightsFile(join(folder, `${name}.pth`)), name, { ema });
  const values = ['model.level_embed', 'model.text_backbone.embeddings.word_embeddings.weight'].map((each) => {
    const tensor = tensors.get(each);
    if (!tensor) throw new Error(`${name} has ${each}`);
    return floatData(tensorOf(tensor))[0];
  });
  expect(new Set(values).size).toBe(1);
  return { value: values[0], notices: notices.join(' ') };
}

test.each([
  'plain',
  'model',
  'net',
  'model_state_dict',
  'lightning',
  'lightning_hf',
  'hf',
  'hf_cut',
  'compiled',
  'list',
  'whole_module',
])('%s holds one set of weights, which is taken', async (name) => {
  expect(await taken(name)).toEqual({ value: 1, notices: '' });
  await expect(taken(name, true)).rejects.toThrow(UsageError);
  await expect(taken(name, true)).rejects.toThrow(/no running average/);
});

test.each(['open_groundingdino', 'rtdetr', 'timm', 'lightning_ema', 'averaged_first', 'teacher', 'whole_module_in'])(
  '%s says that it holds an average, and `ema` takes it',
  async (name) => {
    const { value, notices } = await taken(name);
    expect(value).toBe(1);
    expect(notices).toMatch(/also holds a running average \(EMA\) .*`ema` takes/);
    expect(await taken(name, true)).toEqual({ value: 2, notices: '' });
  },
);

test('MMEngine swaps the two when it saves, so state_dict is the average with and without `ema`', async () => {
  for (const ema of [false, true]) {
    const { value, notices } = await taken('mmengine', ema);
    expect(value).toBe(2);
    expect(notices).toMatch(/MMEngine/);
  }
});

test('an average alone is taken, and said', async () => {
  expect(await taken('only_average')).toMatchObject({
    value: 2,
    notices: expect.stringMatching(/only a running average/),
  });
  expect(await taken('only_average', true)).toEqual({ value: 2, notices: '' });
});

test('of two sets under keys that say nothing the first is taken, and said', async () => {
  const { value, notices } = await taken('two');
  expect(value).toBe(1);
  expect(notices).toMatch(/several sets of weights; best is taken, and last left out/);
});

describe('other models are called by their name', () => {
  const stored = { type: DataType.FLOAT, shape: [1], bytes: bytesOf(Float32Array.of(1)) };
  test.each([
    [['model.0.conv.weight', 'model.22.dfl.conv.weight'], /YOLO/],
    [['bert.embeddings.word_embeddings.weight', 'bert.encoder.layer.0.attention.self.query.weight'], /BERT/],
    [['transformer.encoder.layers.0.self_attn.in_proj_weight', 'query_embed.weight'], /DETR/],
    [['owlvit.text_model.embeddings.token_embedding.weight'], /OWL-ViT/],
    [['base_model.model.model.decoder.layers.0.fc1.lora_A.weight'], /LoRA .*merge_and_unload/],
    [['backbone.layer1.0.conv1.weight', 'bbox_head.gfl_cls.weight'], /MMDetection/],
    [['image_encoder.patch_embed.proj.weight', 'mask_decoder.iou_token.weight'], /Segment Anything/],
    [['cls_token', 'blocks.0.attn.qkv.weight'], /DINOv2/],
    [['x', 'y'], /not those of GroundingDINO.*such as x, y/],
  ])('%j', (names, message) => {
    const read = () => networkTensors([weightSetOf(new Map(names.map((name) => [name, stored])))], 'a.pth', {});
    expect(read).toThrow(InputError);
    expect(read).toThrow(message);
  });

  // The names that loralib and PEFT save (https://github.com/microsoft/LoRA, https://huggingface.co/docs/peft).
  test.each([
    ['', 'model.decoder.layers.0.fc1.lora_A'],
    ['base_model.model.', 'model.decoder.layers.0.fc1.lora_B.default.weight'],
  ])('weights beside a LoRA adapter that is not merged are refused: %s', (prefix, name) => {
    const all = ['model.level_embed', 'model.text_backbone.embeddings.word_embeddings.weight', name];
    const set = weightSetOf(new Map(all.map((each) => [prefix + each, stored])));
    expect(() => networkTensors([set], 'a.pth', {})).toThrow(
      `a.pth holds a LoRA or PEFT adapter beside the weights, such as ${name}, which would be left out`,
    );
  });

  test.each([
    [
      ['module.level_embed', 'module.language_model.language_backbone.body.model.embeddings.word_embeddings.weight'],
      /^a\.pth has module\.level_embed and module\.language_model\..* and lacks module\.memory_trans_fc\.weight, so it is no complete/,
    ],
    [
      ['model.text_backbone.embeddings.word_embeddings.weight', 'model.decoder.layers.0.fc1.weight'],
      /has model\.text_backbone\..* and lacks model\.level_embed, so it is no complete checkpoint of GroundingDINO/,
    ],
  ])('an incomplete one says by name what it lacks: %j', (names, message) => {
    const set = weightSetOf(new Map(names.map((name) => [name, stored])));
    expect(() => networkTensors([set], 'a.pth', {})).toThrow(message);
  });

  // bitsandbytes stores int8 weights under the names of the floats, with their scales (SCB) beside them.
  test('weights that another program stored as integers are refused', () => {
    const names = ['model.level_embed', 'model.text_backbone.embeddings.word_embeddings.weight'];
    const integers = { type: DataType.INT8, shape: [1], bytes: new Uint8Array(1) };
    const layer = 'model.decoder.layers.0.fc1.weight';
    const set = weightSetOf(new Map([...names.map((name) => [name, stored] as const), [layer, integers]]));
    expect(() => networkTensors([set], 'a.pth', {})).toThrow(
      'a.pth: model.decoder.layers.0.fc1.weight is of the type INT8, as in models that other programs quantized',
    );
  });

  test('a file without tensors is no checkpoint', () => {
    expect(() => networkTensors([], 'a.pth', {})).toThrow(/holds no tensors by name/);
  });
});
