/** Comparison and sensitivity work on a model of which only the graph is known. */
import { expect, test } from 'vitest';
import type { LoadedModel } from '../models/family.ts';
import { generic } from '../models/generic/family.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { observableValues } from '../quant/observable-values.ts';
import { calibrate } from '../quant/observe/calibrate.ts';
import { listedSamples } from '../quant/observe/sample.ts';
import { planQuantization } from '../quant/plan.ts';
import { quantizeModel } from '../quant/quantize.ts';
import { parseRecipe } from '../quant/recipe.ts';
import { Session } from '../runtime/session.ts';
import { floatData } from '../runtime/tensor.ts';
import { toyFeeds, toyModel } from '../testing/toy-model.ts';
import { compareModels } from './compare.ts';
import { createFeedsTimer } from './relative-timer.ts';
import { measureSensitivity, partsOf } from './sensitivity.ts';
import { tune } from './tune.ts';

const source: LoadedModel = { source: 'toy.onnx', model: toyModel(), family: generic };
const feeds = [1, 2, 3, 4].map((seed) => toyFeeds(seed));
const samples = listedSamples(feeds.map((inputs, place) => ({ place, feeds: inputs, source: `${place}.npz` })));
const recipe = parseRecipe(
  JSON.stringify({
    description: 'matrix products',
    rules: [{ match: '**', operators: ['MatMul'], treatment: 'dynamic' }],
  }),
  'all',
);

/** ‖x − x̂‖ / ‖x‖ over the outputs of two models for one sample, from two runs of their own. */
async function relativeError(quantized: LoadedModel['model'], index: number): Promise<number> {
  const inputs = feeds[index] ?? {};
  await using float = await Session.create(modelBytes(source.model));
  await using other = await Session.create(modelBytes(quantized));
  using expected = await float.run(inputs);
  using actual = await other.run(inputs);
  let [signal, error] = [0, 0];
  for (const name of expected.names) {
    const [x, y] = [floatData(expected.get(name)), floatData(actual.get(name))];
    for (const [at, value] of x.entries()) {
      signal += value ** 2;
      error += (value - (y[at] ?? Number.NaN)) ** 2;
    }
  }
  return Math.sqrt(error / signal);
}

test('outputs are compared as two separate runs show them', async () => {
  const { model } = await quantizeModel(source.model, recipe, { statistics: new Map() });
  const { figures, loss, layers, samples: compared, outputFigures } = await compareModels(source, model, samples);
  expect(outputFigures.map(({ key }) => key)).toEqual(Object.keys(figures));
  expect(layers.length).toBeGreaterThan(3);
  expect(compared).toHaveLength(feeds.length);
  for (const { source: file, figures: own } of compared)
    expect(own.relativeError).toBeCloseTo(await relativeError(model, Number.parseInt(file, 10)), 4);
  const errors = compared.map(({ figures: own }) => own.relativeError ?? Number.NaN);
  expect(errors).toEqual(errors.toSorted((a, b) => b - a));
  expect(loss).toBeCloseTo(errors.reduce((sum, error) => sum + error, 0) / errors.length, 9);
});

test('sensitivity ranks parts by the error of the outputs, without labelled data', async () => {
  const statistics = await calibrate(source.model, observableValues(source.model), samples);
  const plan = planQuantization(source.model, recipe);
  const { float, parts } = await measureSensitivity(source, plan, samples, { statistics, granularity: 'layer' });
  expect(float).toBeUndefined();
  expect(parts.map(({ name }) => name).toSorted()).toEqual(partsOf(plan, 'layer').toSorted());
  const losses = parts.map(({ loss }) => loss);
  expect(losses).toEqual(losses.toSorted((a, b) => b - a));
  expect(losses.at(0)).toBeGreaterThan(0);
  expect(parts.every(({ averagePrecision }) => averagePrecision === undefined)).toBe(true);
});

test('tuning makes the parts float that change the outputs more than allowed, without labelled data', async () => {
  const statistics = new Map();
  const plan = planQuantization(source.model, recipe);
  const options = { statistics, granularity: 'layer' } as const;
  const parts = await measureSensitivity(source, plan, samples, options);
  await using timer = await createFeedsTimer(source.model, feeds[0] ?? {}, 2);
  const { model } = await quantizeModel(source.model, plan);
  const { loss } = await compareModels(source, model, samples, { outputsOnly: true });
  const maxDrop = 50 * loss; // half of the change that quantizing everything makes, in percent
  const tuned = await tune(source, plan, parts, { ...options, samples, timer, maxDrop });
  expect(tuned.chosen.float).toBeGreaterThan(0);
  expect(tuned.chosen.averagePrecision).toBeUndefined();
  const { model: mixed } = await quantizeModel(source.model, tuned.recipe);
  const change = await compareModels(source, mixed, samples, { outputsOnly: true });
  expect(100 * change.loss).toBeCloseTo(tuned.chosen.drop, 6);
  expect(100 * change.loss).toBeLessThanOrEqual(maxDrop);
  expect(tuned.mixtures.at(-1)).toMatchObject({ float: parts.parts.length, drop: 0 });
});

test('models that do not belong together are refused', async () => {
  const b = new GraphBuilder('other');
  b.output('y', b.neg(b.input('x', DataType.FLOAT, [1])));
  await expect(compareModels(source, b.finish(), samples)).rejects.toThrow(/has the input x, unlike toy\.onnx/);
});
