/** A specialised model has the results of the dynamic one, with fewer nodes. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { typicalSize } from '../data/preprocessing.ts';
import { copyModel } from '../onnx/copy.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { DataType } from '../onnx/types.ts';
import { makeValueInfo, valueInfoToTensorInfo } from '../onnx/value-info.ts';
import { modelBytes } from '../onnx/write.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { readRecipe } from '../quant/recipe.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats } from '../runtime/tensor.ts';
import { noise } from '../testing/noise.ts';
import { sizesOf } from './family.ts';
import { extractHalf, joinHalves } from './grounding-dino/grounding-dino.ts';
import { writeSmallCheckpoint } from './grounding-dino/testing/small-checkpoint.ts';
import { readPackage } from './package/package.ts';
import { type InputSize, specialize as specializeBy } from './specialize.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-specialize-'));
afterAll(() => rmSync(folder, { recursive: true }));
const source = await readPackage(await writeSmallCheckpoint(join(folder, 'checkpoint')));
const specialize = (model: Model, size: InputSize) => specializeBy(model, size, sizesOf(source));
const { height, width } = typicalSize(source.preprocessing);
const feeds = {
  ...source.family.blankFeeds(source, { tokens: 12 }),
  pixel_values: floats(noise(3 * height * width, 1), [1, 3, height, width]),
};

async function run(model: Model): Promise<Float32Array[]> {
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run(
    Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputs.has(name))),
  );
  return ['logits', 'pred_boxes'].map((name) => floatData(outputs.get(name)).slice());
}

const count = (model: Model, operator: string) => model.graph.node.filter((node) => node.opType === operator).length;

describe('specialize', () => {
  test.each([
    { name: 'text of any length', size: {} },
    { name: 'text of one length', size: { textLength: 12 } },
    { name: 'with padding', size: { padding: true } },
  ])('returns a model with the same results ($name)', async ({ size }) => {
    const special = await specialize(source.model, { batch: 1, height, width, ...size });
    const [expected, actual] = [await run(source.model), await run(special)];
    for (const [output, values] of expected.entries())
      for (const [index, value] of values.entries()) {
        const other = actual[output]?.[index];
        if (value !== other)
          expect(Math.abs(value - (other ?? Number.NaN))).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)));
      }
    expect(special.graph.node.length).toBeLessThan(source.model.graph.node.length * 0.8);
    expect(count(special, 'Shape')).toBeLessThan(count(source.model, 'Shape') / 4);
    if (!('padding' in size))
      expect(extractHalf(special, 'detect').graph.input.map(({ name }) => name)).not.toContain('valid_pixels');
  });

  test('does not change the model itself, and accepts quantized models', async () => {
    const before = source.model.graph.node.length;
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    const special = await specialize(model, { batch: 1, height, width });
    expect(source.model.graph.node.length).toBe(before);
    const [[logits = new Float32Array()], [expected = new Float32Array()]] = [await run(special), await run(model)];
    const finite = [...expected.entries()].filter(([, value]) => Number.isFinite(value));
    const error = finite.reduce((sum, [index, value]) => sum + Math.abs(value - (logits[index] ?? Number.NaN)), 0);
    expect(error / finite.length).toBeLessThan(0.05);
  });

  test.each([
    { batch: 0, height, width },
    { batch: 1, height: 0, width },
    { batch: 1, height: 100_000, width },
    { batch: 1, height, width: 100_000 },
    { batch: 1, height, width, textLength: 1 },
  ])('refuses %o', async (size) => {
    await expect(specialize(source.model, size)).rejects.toThrow(/is not possible; give one from/);
  });

  test('refuses a batch that is too large as a whole, before it makes its mask', async () => {
    const size = { batch: 1024, height: 16_384, width: 16_384 };
    await expect(specialize(source.model, size)).rejects.toThrow(/1024 images of 16384x16384 are not possible/);
  });

  test('refuses a model that is already made for another size', async () => {
    const special = await specialize(source.model, { batch: 1, height, width, textLength: 12 });
    await expect(specialize(special, { batch: 1, height: 2 * height, width })).rejects.toThrow(/is already made for/);
    await expect(specialize(special, { batch: 1, height, width, textLength: 9 })).rejects.toThrow(/input_ids of 1x12/);
  });

  test('returns a model whose halves can be joined again, without the mask of padding', async () => {
    const special = await specialize(source.model, { batch: 1, height, width });
    const joined = joinHalves(extractHalf(special, 'text'), extractHalf(special, 'detect'));
    expect(await run(joined)).toEqual(await run(special));
  });

  test('declared shapes stay in the half that has the value, and get the numbers that are known', async () => {
    const model = copyModel(source.model);
    const infos = inferShapes(model);
    const isMap = (name: string) => infos.get(name)?.shape?.length === 4;
    const [name = ''] = model.graph.node.find(
      ({ opType, output }) => opType === 'LayerNormalization' && output.some(isMap),
    )?.output ?? [''];
    const channels = infos.get(name)?.shape?.at(-1);
    model.graph.valueInfo = [makeValueInfo(name, DataType.FLOAT, ['batch', 'rows', 'columns', channels])];
    const halves = [extractHalf(model, 'text'), extractHalf(model, 'detect')] as const;
    expect(halves.map(({ graph }) => graph.valueInfo)).toEqual([[], model.graph.valueInfo]);
    expect(joinHalves(...halves).graph.valueInfo).toEqual(model.graph.valueInfo);
    const special = await specialize(model, { batch: 1, height, width });
    const shape = special.graph.valueInfo.map((info) => valueInfoToTensorInfo(info)?.shape);
    expect(shape).toEqual([inferShapes(special).get(name)?.shape]);
    expect(shape[0]).toEqual([1, expect.any(Number), expect.any(Number), channels]);
  });
});
