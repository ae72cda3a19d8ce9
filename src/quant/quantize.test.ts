/** Quantized models agree with the float models to the quantization step. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { calibrationFeeds } from '../detect/calibration-feeds.ts';
import { extractHalf } from '../models/grounding-dino/grounding-dino.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { copyModel } from '../onnx/copy.ts';
import { PROPOSAL_SCORES, WINDOW_ATTENTION } from '../onnx/dino8-operators.ts';
import type { Model } from '../onnx/read.ts';
import { makeTensor, tensorElements } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { calibrateDataset } from '../pipeline/calibrate-dataset.ts';
import { profileRun } from '../runtime/profile.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats } from '../runtime/tensor.ts';
import { toyModel } from '../testing/toy-model.ts';
import { calibrate } from './observe/calibrate.ts';
import { listedSamples } from './observe/sample.ts';
import { planQuantization, valuesToObserve } from './plan.ts';
import { quantizeModel } from './quantize.ts';
import { parseRecipe, type Recipe, readRecipe } from './recipe.ts';
import { lintModel } from './targets/ort-cpu/lint-ort-cpu.ts';

const recipe = (treatment: Recipe['rules'][number]['treatment'], match = ['**']): Recipe => ({
  name: 'test',
  description: 'for a test',
  rules: [{ match, treatment, inputs: 'weights' }],
  techniques: [],
});

/** y = x · W, with x [n, 16] and one column of W zero. */
function linearModel(): Model {
  const b = new GraphBuilder('linear');
  const x = b.input('x', DataType.FLOAT, ['n', 16]);
  const weights = Float32Array.from({ length: 16 * 8 }, (_, index) =>
    index % 8 === 3 ? 0 : Math.sin(index * 1.7) * (index % 8),
  );
  b.scope('layer', () => b.output('y', b.matmul(x, b.initializer(makeTensor('layer.weight', [16, 8], weights)))));
  return b.finish();
}

describe('a quantized layer', () => {
  const values = Array.from({ length: 64 }, (_, index) => Math.cos(index) * 3);
  const run = async (model: Model) => {
    await using session = await Session.create(modelBytes(model));
    using outputs = await session.run({ x: floats(Float32Array.from(values), [4, 16]) });
    return floatData(outputs.get('y')).slice();
  };
  const samples = listedSamples([{ place: 0, feeds: { x: floats(Float32Array.from(values), [4, 16]) } }]);

  test.each(['dynamic', 'static'] as const)(
    'in the mode %s agrees with the float layer to the quantization step',
    async (treatment) => {
      const model = linearModel();
      const expected = await run(model);
      const statistics = await calibrate(model, ['x'], samples);
      const { model: quantized, counts } = await quantizeModel(model, recipe(treatment), { statistics });
      expect(counts[treatment]).toBe(1);
      const actual = await run(quantized);
      // 16 products, each off by at most half a step of x (6 / 255) times |w| ≤ 7, plus half a step of w (7 / 127) times |x| ≤ 3.
      const bound = 16 * ((6 / 255 / 2) * 7 + (7 / 127 / 2) * 3);
      for (const [index, value] of actual.entries())
        expect(Math.abs(value - (expected[index] ?? 0))).toBeLessThan(bound / 2);
      expect(await run(model)).toEqual(expected); // the model itself is as it was
    },
  );

  test('has int8 weights with one scale per output channel, the largest magnitude of each at 127', async () => {
    const { model } = await quantizeModel(linearModel(), recipe('weight-only'));
    const stored = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const weights = stored.get('layer.weight.int8');
    expect(weights?.dataType).toBe(DataType.INT8);
    expect(stored.has('layer.weight')).toBe(false);
    const integers = weights ? [...tensorElements(weights)].map(Number) : [];
    for (let channel = 0; channel < 8; channel++) {
      const column = integers.filter((_, index) => index % 8 === channel).map(Math.abs);
      expect(Math.max(...column)).toBe(channel === 0 || channel === 3 ? 0 : 127);
    }
  });

  test('has one scale for all channels, or a range centred on 0, if a rule says so', async () => {
    const model = linearModel();
    const statistics = await calibrate(model, ['x'], samples);
    const text =
      'description: x\nrules: [{ match: "**", treatment: static, symmetric: true, weights: { per: tensor } }]';
    const { model: quantized } = await quantizeModel(model, parseRecipe(text, 'it.yaml'), { statistics });
    const stored = new Map(quantized.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const elements = (name: string) => {
      const tensor = stored.get(name);
      return tensor ? [...tensorElements(tensor)].map(Number) : [];
    };
    expect(new Set(elements('layer.weight.scale')).size).toBe(1);
    expect(elements('x.static_zero_point')).toEqual([128]);
    const expected = await run(model);
    for (const [index, value] of (await run(quantized)).entries())
      expect(Math.abs(value - (expected[index] ?? 0))).toBeLessThan(1.5);
  });

  test('is not made by a recipe that does not fit the model', async () => {
    await expect(quantizeModel(linearModel(), recipe('dynamic', ['**', 'typo.**']))).rejects.toThrow(UsageError);
    await expect(quantizeModel(linearModel(), recipe('static'))).rejects.toThrow(/needs statistics of x/);
  });
});

test('a weight that is not finite is named', async () => {
  const damaged = copyModel(toyModel());
  const index = damaged.graph.initializer.findIndex(({ name }) => name === 'toy.fc1.weight');
  damaged.graph.initializer[index] = makeTensor(
    'toy.fc1.weight',
    [16, 32],
    new Float32Array(512).fill(Number.NaN, 7, 8),
  );
  await expect(quantizeModel(damaged, await readRecipe('dynamic'))).rejects.toThrow(/gptq|matches nothing/);
  await expect(quantizeModel(damaged, recipe('dynamic', ['toy.fc1']))).rejects.toThrow(/toy\.fc1\.weight.*not finite/);
});

describe('the bundled model', () => {
  let source: ModelPackage;
  beforeAll(async () => {
    source = await readPackage(join(packageRoot, 'assets/nano'));
  });

  test('everything that the default recipe quantizes runs as integers in ONNX Runtime', async () => {
    const images = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 2, 0);
    const mixed = await readRecipe('mixed');
    const { statistics } = await calibrateDataset(source, valuesToObserve(source.model, mixed), images);
    const { model, counts } = await quantizeModel(source.model, mixed, { statistics });
    const { value: sample } = await calibrationFeeds(source, images.items).next();
    const nodes = await profileRun(modelBytes(model), {}, sample?.feeds ?? {});
    const count = (pattern: RegExp) => nodes.filter((node) => pattern.test(node.operator)).length;
    // Queries, keys and values of attention within windows are one product.
    const joined = 2 * model.graph.node.filter(({ opType }) => opType === WINDOW_ATTENTION).length;
    // The layer of the proposals is computed for all positions, and once more for those that are chosen.
    const again = model.graph.node.filter(({ opType }) => opType === PROPOSAL_SCORES).length;
    expect(count(/^(DynamicQuantizeMatMul|MatMulIntegerToFloat|MatMulInteger|QLinearConv)$/)).toBe(
      counts.dynamic + counts.static - joined + again,
    );
    expect(counts.dynamic + counts.static).toBeGreaterThan(80);
    // The rest are weights that are stored as integers (an embedding is looked up without) and results of convolutions.
    const { unfused } = await lintModel(model, sample?.feeds ?? {});
    expect(unfused.filter(({ kind }) => kind === 'pair')).toEqual([]);
    expect(unfused.filter(({ kind }) => kind === 'stored')).toHaveLength(counts['weight-only'] - 1);
  });

  test('sensitive parts stay float by the default recipe', async () => {
    const { entries } = planQuantization(source.model, await readRecipe('mixed'));
    const float = entries.filter(({ mode }) => mode === 'float').map(({ path }) => path);
    for (const part of [
      'model.decoder.layers.0.fc1',
      'bbox_embed.0.layers.0',
      'model.encoder.layers.0.deformable_layer.self_attn.sampling_offsets',
      'model.backbone.conv_encoder.model.embeddings.patch_embeddings.projection',
    ])
      expect(float).toContain(part);
    expect(float).not.toContain('model.encoder.layers.0.deformable_layer.fc1');
  });

  test('the halves of a quantized model are cut out as those of a float model', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    expect(extractHalf(model, 'text').graph.output.map((output) => output.name)).toEqual(['text_features']);
  });
});
