/** Where quantized places go, for each runtime, and that they compute what the float model does. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { type CalibrationPlan, planCalibration } from '../../data/calibration-plan.ts';
import { openCoco } from '../../data/coco.ts';
import { calibrationFeeds } from '../../detect/calibration-feeds.ts';
import { compareModels } from '../../evaluate/compare.ts';
import { type ModelPackage, readPackage } from '../../models/package/package.ts';
import { copyModel } from '../../onnx/copy.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { modelBytes } from '../../onnx/write.ts';
import { calibrateDataset } from '../../pipeline/calibrate-dataset.ts';
import { Session } from '../../runtime/session.ts';
import { floatData } from '../../runtime/tensor.ts';
import { observableValues } from '../observable-values.ts';
import type { Statistics } from '../observe/calibrate.ts';
import { textDependence } from '../observe/text-dependence.ts';
import { quantizeModel } from '../quantize.ts';
import { parseRecipe, readRecipe } from '../recipe.ts';
import { CONTRIB, INTEGER_PRODUCT } from './ort-cpu/integer-product.ts';
import { lintForTensorRt } from './tensorrt/lint-tensorrt.ts';

let source: ModelPackage;
let plan: CalibrationPlan;
let statistics: Statistics;
beforeAll(async () => {
  source = await readPackage(join(packageRoot, 'assets/nano'));
  plan = planCalibration(await openCoco(join(packageRoot, 'assets/shapes/calib')), 40, 0);
  ({ statistics } = await calibrateDataset(source, observableValues(source.model, true), plan));
}, 60_000);

const some = () => plan.items.slice(0, 4);

describe('for ONNX Runtime', () => {
  test('the function that stands in for its integer product computes the same', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('static'), { statistics });
    const calls = model.graph.node.filter(({ domain, opType }) => domain === CONTRIB && opType === INTEGER_PRODUCT);
    expect(calls.length).toBeGreaterThan(100);
    // Under another name, ONNX Runtime does not know it and takes the function.
    const renamed = copyModel(model);
    for (const node of renamed.graph.node) if (node.domain === CONTRIB) node.opType = 'Standard';
    for (const body of renamed.functions) if (body.domain === CONTRIB) body.name = 'Standard';
    const results = await Promise.all(
      [model, renamed].map(async (each) => {
        const { value: sample } = await calibrationFeeds(source, some()).next();
        await using session = await Session.create(modelBytes(each));
        using outputs = await session.run(sample?.feeds ?? {});
        return floatData(outputs.get('pred_boxes')).slice();
      }),
    );
    const [expected = new Float32Array(0), found = new Float32Array(0)] = results;
    const different = expected.filter((value, index) => Math.abs(value - (found[index] ?? 0)) > 1e-3);
    expect(different.length).toBeLessThan(expected.length / 50); // an 8-bit step here and there
  });

  test.each([
    ['static, by length of the text', 'text: { length: position_ids, factor: 1.1, treatment: buckets }'],
    ['static, what depends on the text dynamic', 'text: { length: position_ids, factor: 1.1, treatment: dynamic }'],
    ['static, offsets clipped', ''],
  ])('%s', async (_, more) => {
    const clip = more === '' ? "\n  - { match: '**.sampling_offsets', treatment: static, clip: 99.9 }" : '';
    const text = `description: for a test\nrules:\n  - { match: '**', operators: [MatMul], treatment: static }${clip}\n${more}\n`;
    const { model, counts } = await quantizeModel(source.model, parseRecipe(text, 'test.yaml'), { statistics });
    const { overlap } = await compareModels(source, model, some(), { boxesOnly: true });
    expect(overlap).toBeGreaterThan(0.95);
    const made = (pattern: RegExp) => model.graph.node.filter(({ name }) => pattern.test(name)).length;
    if (more.includes('buckets')) {
      expect(made(/by_length\.Scale$/)).toBeGreaterThan(10);
      expect([...statistics.values()].some((each) => textDependence(each).factor > 1.1)).toBe(true);
    }
    if (more.includes('dynamic }')) expect(counts.dynamic).toBeGreaterThan(10);
    if (clip) expect(made(/clip\.Clip$/)).toBe(source.config.encoder_layers + source.config.decoder_layers);
  });
});

describe('for TensorRT', () => {
  test.each(['mixed', 'static', 'full'])('%s follows its rules, from the same calibration', async (name) => {
    const recipe = await readRecipe(name);
    const { model } = await quantizeModel(source.model, recipe, { statistics, target: 'tensorrt' });
    expect(lintForTensorRt(model)).toEqual([]);
    expect(model.graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(40);
    const { overlap } = await compareModels(source, model, some(), { boxesOnly: true });
    expect(overlap).toBeGreaterThan(0.93);
  });

  test('a recipe that leaves nothing to it is refused', async () => {
    const recipe = await readRecipe('smallest');
    const quantized = quantizeModel(source.model, { ...recipe, techniques: [] }, { statistics, target: 'tensorrt' });
    await expect(quantized).rejects.toThrow(/has nothing that tensorrt computes in integers/);
  });

  test('what breaks its rules is found', async () => {
    const { model: other } = await quantizeModel(source.model, await readRecipe('static'), { statistics });
    expect(lintForTensorRt(other).map(({ problem }) => problem)).toContain(
      'MatMulIntegerToFloat is not an operator of TensorRT',
    );
    const { model } = await quantizeModel(source.model, await readRecipe('static'), {
      statistics,
      target: 'tensorrt',
    });
    const zero = model.graph.initializer.find(({ name }) => name.endsWith('.static_zero_point'));
    if (zero) zero.rawData = Uint8Array.of(5);
    expect(lintForTensorRt(model).map(({ problem }) => problem)).toContain('its zero point is not 0');
    const product = model.graph.node.find(({ opType }) => opType === 'MatMul');
    const pair = model.graph.node.find(({ output }) => output[0] === product?.input[0]);
    if (product && pair) product.input[0] = pair.input[0] ?? '';
    expect(lintForTensorRt(model).map(({ problem }) => problem)).toContain('only one of its two inputs is quantized');
  });
});

test('a weight that is not finite is named', async () => {
  const damaged = copyModel(source.model);
  const index = damaged.graph.initializer.findIndex(({ name }) => name.includes('decoder.layers.0.fc1.weight'));
  const tensor = damaged.graph.initializer[index];
  if (!tensor) throw new Error('the weight is there');
  const values = new Float32Array(tensor.rawData.length / 4).fill(1);
  values[7] = Number.NaN;
  damaged.graph.initializer[index] = makeTensor(tensor.name, tensor.dims.map(Number), values);
  await expect(quantizeModel(damaged, await readRecipe('dynamic'))).rejects.toThrow(
    /decoder\.layers\.0\.fc1.*not finite/,
  );
});
