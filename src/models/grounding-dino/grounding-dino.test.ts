/** Every stage is compared with the golden files of the reference implementation (Hugging Face transformers 5.18). */
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { extractModel } from '../../onnx/extract.ts';
import { makeTensor, viewAs } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { kernelLibrary } from '../../runtime/kernels.ts';
import { Session } from '../../runtime/session.ts';
import { booleans, floatData, integers, type Tensor, tensorOf } from '../../runtime/tensor.ts';
import { goldenFolder, readGolden } from '../../testing/golden.ts';
import type { StoredTensor } from '../checkpoint/checkpoint.ts';
import { readSafetensors } from '../checkpoint/safetensors.ts';
import { readHuggingFace } from './checkpoint/hugging-face.ts';
import { addTokenTypes, buildModel, extractHalf } from './grounding-dino.ts';
import { tokenTypes } from './testing/token-types.ts';
import { tokenMasks } from './token-masks.ts';

const cases = [
  { checkpoint: join(packageRoot, 'assets/nano'), file: 'nano/single' },
  { checkpoint: join(packageRoot, 'assets/nano'), file: 'nano/all_phrases' },
  { checkpoint: join(packageRoot, 'assets/nano'), file: 'nano/batch_padded' },
  { checkpoint: join(packageRoot, 'assets/nano'), file: 'nano/odd_size' },
  { checkpoint: join(goldenFolder, 'random_window12'), file: 'random_window12/single' },
  { checkpoint: join(goldenFolder, 'random_unshared_heads'), file: 'random_unshared_heads/single' },
];

const stages = [
  'bert_last_hidden_state',
  'text_features',
  'backbone_map_0',
  'backbone_map_1',
  'backbone_map_2',
  'input_proj_0',
  'input_proj_1',
  'input_proj_2',
  'input_proj_3',
  'encoder_vision',
  'encoder_text',
  'init_reference_points',
  'decoder_hidden_states',
  'decoder_reference_points',
];

const LOGITS = 1e-4;
const BOXES = 1e-5;
const FEATURES = 2e-5;
const tolerance = (stage: string) => (/box|reference/.test(stage) ? BOXES : stage === 'logits' ? LOGITS : FEATURES);

const sessions = new Map<string, Promise<Session>>();
afterAll(async () => {
  for (const session of sessions.values()) await (await session).close();
});

function combined(checkpoint: string, kernels: boolean): Promise<Session> {
  const key = `${checkpoint} ${kernels}`;
  const create = async () => {
    const model = await buildModel(await readHuggingFace(checkpoint), { stages });
    return Session.create(modelBytes(model), { customOperators: kernels ? [kernelLibrary() ?? 'none'] : [] });
  };
  const session = sessions.get(key) ?? create();
  sessions.set(key, session);
  return session;
}

/** The largest difference of finite elements; NaN if they are not finite in the same places. */
function largestDifference(actual: Float32Array, expected: Float32Array): number {
  if (actual.length !== expected.length) return Number.NaN;
  let largest = 0;
  for (const [index, value] of expected.entries()) {
    const other = actual[index] ?? Number.NaN;
    if (value === other) continue;
    const difference = Math.abs(other - value);
    if (!(difference <= largest)) largest = difference;
  }
  return largest;
}

const withKernels = kernelLibrary() === undefined ? [false] : [false, true];

describe.each(withKernels)('with the kernel library: %s', (kernels) => {
  test.each(cases)('every stage agrees with the golden file $file', async ({ checkpoint, file }) => {
    const expected = await readGolden(file);
    const session = await combined(checkpoint, kernels);
    const names = ['pixel_values', 'input_ids', 'attention_mask', 'pixel_mask'];
    const given = Object.fromEntries(names.map((name) => [name, tensorOf(expected.get(name) as StoredTensor)]));
    const feeds = { ...given, token_type_ids: tokenTypes(given.input_ids) };
    using outputs = await session.run(feeds);
    for (const stage of [...stages, 'logits', 'pred_boxes']) {
      const reference = expected.get(stage);
      if (!reference) throw new Error(`${file} has no ${stage}`);
      const actual = outputs.get(stage);
      expect(actual.shape, stage).toEqual(reference.shape);
      const wanted = viewAs(DataType.FLOAT, reference.bytes) as Float32Array; // float32 by its type
      expect(largestDifference(floatData(actual), wanted), stage).toBeLessThan(tolerance(stage));
    }
  });
});

test.each([0, 1])(
  'one prompt is for all pictures of a batch: prompt %i, with its picture of the golden file',
  async (row) => {
    const expected = await readGolden('nano/batch_padded');
    const get = (name: string) => tensorOf(expected.get(name) as StoredTensor);
    /** The part of a tensor that belongs to the row. */
    const ownOf = ({ data, shape }: Tensor) =>
      data.slice((row * data.length) / (shape[0] ?? 1), ((row + 1) * data.length) / (shape[0] ?? 1));
    const only = (name: string) => integers(ownOf(get(name)) as BigInt64Array, [1, ...get(name).shape.slice(1)]);
    const session = await combined(join(packageRoot, 'assets/nano'), kernelLibrary() !== undefined);
    using outputs = await session.run({
      pixel_values: get('pixel_values'),
      pixel_mask: get('pixel_mask'),
      input_ids: only('input_ids'),
      attention_mask: only('attention_mask'),
      token_type_ids: tokenTypes(only('input_ids')),
    });
    for (const name of ['logits', 'pred_boxes']) {
      expect(outputs.get(name).shape).toEqual(get(name).shape);
      const [own, wanted] = [ownOf(outputs.get(name)), ownOf(get(name))] as [Float32Array, Float32Array];
      expect(largestDifference(own, wanted), name).toBeLessThan(tolerance(name));
    }
  },
);

test('token types other than 0 agree with transformers (test/fixtures/token-types/make.py)', async () => {
  const expected = await readSafetensors(join(packageRoot, 'test/fixtures/token-types/types.safetensors'));
  const golden = await readGolden('nano/single');
  const from = (file: ReadonlyMap<string, StoredTensor>, name: string) => tensorOf(file.get(name) as StoredTensor);
  const session = await combined(join(packageRoot, 'assets/nano'), false);
  const names = ['pixel_values', 'input_ids', 'attention_mask', 'pixel_mask'];
  const given = Object.fromEntries(names.map((name) => [name, from(golden, name)]));
  using outputs = await session.run({ ...given, token_type_ids: from(expected, 'token_type_ids') });
  const boxes = floatData(from(expected, 'pred_boxes'));
  expect(largestDifference(floatData(outputs.get('pred_boxes')), boxes)).toBeLessThan(BOXES);
  const [, , tokens = 0] = from(expected, 'logits').shape;
  const logits = outputs.get('logits');
  const columns = logits.shape[2] ?? 0;
  const own = floatData(logits).filter((_, at) => at % columns < tokens);
  expect(largestDifference(own, floatData(from(expected, 'logits')))).toBeLessThan(LOGITS);
});

test('a model of a former version gets the input for token types, which has no effect', async () => {
  const model = await buildModel(await readHuggingFace(join(packageRoot, 'assets/nano')));
  const former = extractModel(
    model,
    ['pixel_values', 'input_ids', 'attention_mask', 'pixel_mask'],
    ['logits', 'pred_boxes'],
    [makeTensor('token_type_ids', [1, 1], BigInt64Array.of(0n))],
  );
  former.graph.initializer = former.graph.initializer.map((tensor) => {
    return tensor.name === 'token_type_ids' ? { ...tensor, name: 'types' } : tensor;
  });
  for (const node of former.graph.node)
    node.input = node.input.map((name) => (name === 'token_type_ids' ? 'types' : name));
  addTokenTypes(former);
  expect(former.graph.input.map(({ name }) => name)).toEqual(model.graph.input.map(({ name }) => name));
  addTokenTypes(former);
  expect(former.graph.input).toHaveLength(5);
  await using session = await Session.create(modelBytes(former));
  expect([...session.inputs.keys()]).toContain('token_type_ids');
});

test('the halves text and detect together agree with the combined model', async () => {
  const checkpoint = await readHuggingFace(join(packageRoot, 'assets/nano'));
  const model = await buildModel(checkpoint);
  await using text = await Session.create(modelBytes(extractHalf(model, 'text')));
  await using detect = await Session.create(modelBytes(extractHalf(model, 'detect')));
  const expected = await readGolden('nano/single');
  const get = (name: string) => tensorOf(expected.get(name) as StoredTensor);
  const ids = get('input_ids');
  const { positionIds, selfAttentionMask } = tokenMasks([...(ids.data as BigInt64Array)].map(Number));
  const count = ids.shape[1] ?? 0;
  const masks = {
    position_ids: integers(positionIds, [1, count]),
    text_self_attention_mask: booleans(selfAttentionMask, [1, count, count]),
  };
  using features = await text.run({ input_ids: ids, ...masks });
  using outputs = await detect.run({
    pixel_values: get('pixel_values'),
    valid_pixels: booleans(Uint8Array.from(get('pixel_mask').data as BigInt64Array, Number), get('pixel_mask').shape),
    text_features: features.get('text_features'),
    text_token_mask: booleans(new Uint8Array(count).fill(1), [1, count]),
    ...masks,
  });
  const difference = (name: string) => largestDifference(floatData(outputs.get(name)), get(name).data as Float32Array);
  expect(difference('logits')).toBeLessThan(LOGITS);
  expect(difference('pred_boxes')).toBeLessThan(BOXES);
});

describe('MM-Grounding-DINO', () => {
  test('agrees with transformers, with scaled logits, a bias, and a box head for each layer', async () => {
    const folder = join(goldenFolder, 'mm');
    const expected = await readGolden('mm/io');
    const stored = (name: string) => {
      const tensor = expected.get(name);
      if (!tensor) throw new Error(`${name} is in the file`);
      return tensorOf(tensor);
    };
    const model = await buildModel(await readHuggingFace(folder));
    await using session = await Session.create(modelBytes(model));
    using outputs = await session.run(
      Object.fromEntries(
        [...session.inputs.keys()].map((name) => [
          name,
          name === 'token_type_ids' ? tokenTypes(stored('input_ids')) : stored(name),
        ]),
      ),
    );
    for (const name of ['logits', 'pred_boxes']) {
      const actual = floatData(outputs.get(name));
      for (const [index, value] of floatData(stored(name)).entries())
        if (value !== actual[index])
          expect(Math.abs(value - (actual[index] ?? Number.NaN))).toBeLessThan(tolerance(name));
    }
  });
});
