/** Parameters, multiply-adds and precision of a model are compared with the checkpoint and with published figures. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { readHuggingFace } from '../models/grounding-dino/checkpoint/hugging-face.ts';
import { readPackage } from '../models/package/package.ts';
import { multiplyAdds } from '../onnx/multiply-adds.ts';
import { makeNode } from '../onnx/rewrite.ts';
import { elementCount } from '../onnx/types.ts';
import { calibrateDataset } from '../pipeline/calibrate-dataset.ts';
import { valuesToObserve } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import { ELSEWHERE, inspectModel } from './inspect.ts';

const folder = join(packageRoot, 'assets/nano');
const source = await readPackage(folder);
const feeds = source.family.blankFeeds(source, { tokens: 32 });
const inspected = await inspectModel(source, { feeds, depth: 2, profile: true });
const moduleOf = (path: string) => inspected.modules.find((module) => module.path === path);

describe('the multiply-adds', () => {
  const shapes: Record<string, number[]> = {
    // The first layer of ResNet-50 at 224x224: 118 million (He et al. 2015, table 1; counted by fvcore as 118,013,952).
    image: [1, 3, 224, 224],
    kernel: [64, 3, 7, 7],
    map: [1, 64, 112, 112],
    // The feed-forward layer of BERT-base on 128 tokens.
    tokens: [1, 128, 768],
    weight: [768, 3072],
    wide: [1, 128, 3072],
  };
  const count = (node: ReturnType<typeof makeNode>) => multiplyAdds(node, (name) => shapes[name]);

  test('of a convolution and of a matrix product are those published', () => {
    expect(count(makeNode('Conv', 'c', ['image', 'kernel'], ['map']))).toBe(118_013_952);
    expect(count(makeNode('MatMul', 'm', ['tokens', 'weight'], ['wide']))).toBe(128 * 768 * 3072);
  });

  test('of other operators are 0, and those of unknown shapes are unknown', () => {
    expect(count(makeNode('Add', 'a', ['tokens', 'tokens'], ['tokens']))).toBe(0);
    expect(count(makeNode('MatMul', 'm', ['tokens', 'nowhere'], ['lost']))).toBeUndefined();
  });
});

describe('each module of a model is listed', () => {
  test.each(['model.encoder', 'model.decoder', 'model.input_proj_vision', 'model.text_projection'])(
    '%s has the parameters of the checkpoint',
    async (path) => {
      const { tensors } = await readHuggingFace(folder);
      const stored = [...tensors].filter(([name]) => name.startsWith(`${path}.`));
      // Heads that the decoder shares with the model are counted where they are used.
      const own = stored.filter(([name]) => !name.includes('_embed.'));
      const trained = own.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
      // Frequencies of position embeddings and the unit scale of a group norm are vectors of the graph too.
      const counted = moduleOf(path)?.parameters ?? 0;
      expect(counted).toBeGreaterThanOrEqual(trained);
      expect(counted).toBeLessThan(1.001 * trained);
    },
  );

  test('all products are counted, and the times of the modules add up to that of the run', () => {
    expect(inspected.uncounted).toBe(0);
    const sum = inspected.modules.reduce((total, { seconds = 0 }) => total + seconds, 0);
    expect(sum).toBeCloseTo(inspected.total.seconds ?? 0, 9);
    const unattributed = moduleOf(ELSEWHERE)?.seconds ?? 0;
    expect(unattributed).toBeLessThan(0.15 * sum);
  });

  test('products that a recipe makes INT8 are counted as INT8', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    const quantized = await inspectModel({ ...source, model }, { feeds, depth: 2, profile: false });
    // The values of the decoder's first layer are those of 100 learned queries, 64 wide. As standard operators they are
    // constants of a model of known size, and as an operator of dino8 they are computed in each run.
    expect(quantized.total.multiplyAdds - inspected.total.multiplyAdds).toBe(100 * 64 * 64);
    expect(inspected.total.integerMultiplyAdds).toBe(0);
    const fraction = (path: string) => {
      const { integerMultiplyAdds = 0, multiplyAdds: all = 1 } =
        quantized.modules.find((module) => module.path === path) ?? {};
      return integerMultiplyAdds / all;
    };
    expect(fraction('model.text_projection')).toBe(1);
    expect(fraction('model.input_proj_vision')).toBe(0);
    expect(fraction('model.backbone')).toBeGreaterThan(0.8);
    const heads = quantized.sensitive.find((part) => part.path === 'box heads');
    expect(heads?.integerMultiplyAdds).toBe(heads?.multiplyAdds);
    expect(quantized.total.bytes).toBeLessThan(0.4 * inspected.total.bytes);
  });

  test('static products whose inputs were moved as bytes are counted as INT8 too', async () => {
    const bundled = await readPackage(join(packageRoot, 'assets/nano'));
    const recipe = await readRecipe('static');
    const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 1, 0);
    const { statistics } = await calibrateDataset(bundled, valuesToObserve(bundled.model, recipe), plan);
    const { model } = await quantizeModel(bundled.model, recipe, { statistics });
    const feeds = bundled.family.blankFeeds(bundled, { tokens: 16 });
    const before = await inspectModel(bundled, { feeds, depth: 1, profile: false });
    const { total } = await inspectModel({ ...bundled, model }, { feeds, depth: 1, profile: false });
    // One layer of the float model sees only the learned queries, and is folded into a constant.
    expect(total.multiplyAdds / before.total.multiplyAdds).toBeCloseTo(1, 2);
    // The products within attention stay float.
    expect(total.integerMultiplyAdds / total.multiplyAdds).toBeGreaterThan(0.75);
  });
});
