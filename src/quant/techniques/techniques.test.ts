/** Each technique keeps its promise: the model computes the same, or the error of a layer's results is smaller. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../onnx/builder.ts';
import type { Model } from '../../onnx/read.ts';
import { makeTensor, tensorElements } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { toyFeeds, toyModel } from '../../testing/toy-model.ts';
import { calibrate } from '../observe/calibrate.ts';
import { listedSamples } from '../observe/sample.ts';
import { planQuantization, valuesToObserve } from '../plan.ts';
import { quantizeModel } from '../quantize.ts';
import type { Recipe, Technique } from '../recipe.ts';
import { DEFAULT_WEIGHT_SCHEME, type WeightScheme } from '../scheme.ts';
import { adaround } from './adaround.ts';
import { gptq } from './gptq.ts';
import { prepareModel, valuesToPrepare } from './prepare.ts';
import { roundModel } from './round-model.ts';
import { type Rounder, roundWeight } from './rounding.ts';

const recipe = (techniques: Technique[], weights: WeightScheme = DEFAULT_WEIGHT_SCHEME): Recipe => ({
  name: 'test',
  description: 'for a test',
  rules: [{ match: ['**'], treatment: 'dynamic', inputs: 'weights', operators: ['MatMul'], weights }],
  techniques,
});

describe('techniques that move factors between layers', () => {
  test.each<Technique>([
    { technique: 'smooth', match: ['**'], alpha: 0.5 },
    { technique: 'equalize', match: ['**'] },
    { technique: 'balance-queries', match: ['**'] },
  ])('$technique changes weights and not the results of the model', async (technique) => {
    const model = toyModel();
    const asked = recipe([technique]);
    const observed = listedSamples([0, 1].map((place) => ({ place, feeds: toyFeeds(place) })));
    const values = valuesToPrepare(model, asked);
    const prepared = await prepareModel(model, asked, await calibrate(model, values, observed));
    const before = new Set(model.graph.initializer.map(({ name }) => name));
    expect(prepared.graph.initializer.filter(({ name }) => !before.has(name)).length).toBeGreaterThan(1);
    const run = async (of: Model) => {
      await using session = await Session.create(modelBytes(of));
      using outputs = await session.run(toyFeeds(7));
      return floatData(outputs.get('features')).slice();
    };
    const found = await run(prepared);
    for (const [at, value] of (await run(model)).entries())
      expect(Math.abs(value - (found[at] ?? Number.NaN))).toBeLessThan(1e-4);
  });
});

const INPUTS = 24;
const CHANNELS = 6;

/** Correlated inputs, like those of real layers. */
function layerInputs(rows: number, seed: number): Float32Array {
  const common = noise(rows, seed + 1);
  return noise(rows * INPUTS, seed).map((value, index) => value * 0.5 + (common[Math.floor(index / INPUTS)] ?? 0));
}

function momentsOf(x: Float32Array): Float64Array {
  const moments = new Float64Array(INPUTS * INPUTS);
  for (let row = 0; row < x.length; row += INPUTS)
    for (let i = 0; i < INPUTS; i++)
      for (let j = 0; j < INPUTS; j++)
        moments[i * INPUTS + j] = (moments[i * INPUTS + j] ?? 0) + (x[row + i] ?? 0) * (x[row + j] ?? 0);
  return moments;
}

/** tr(Eᵀ H E) */
function loss(error: Float64Array, moments: Float64Array): number {
  let sum = 0;
  for (let channel = 0; channel < CHANNELS; channel++)
    for (let i = 0; i < INPUTS; i++)
      for (let j = 0; j < INPUTS; j++)
        sum +=
          (error[i * CHANNELS + channel] ?? 0) * (moments[i * INPUTS + j] ?? 0) * (error[j * CHANNELS + channel] ?? 0);
  return sum;
}

describe.each([4, 8] as const)('rounding to %i bits', (bits) => {
  const scheme: WeightScheme = { bits, block: 0, per: 'channel', observer: 'min-max' };
  const errorsOf = async (made: Rounder, seed: number) => {
    await using rounder = made;
    const weights = noise(INPUTS * CHANNELS, seed);
    const moments = momentsOf(layerInputs(200, seed));
    const task = {
      weight: makeTensor('w', [INPUTS, CHANNELS], weights),
      scheme,
      moments: floats(Float32Array.from(moments), [INPUTS, INPUTS]),
    };
    const rounded = await roundWeight(task, rounder);
    const [whole, divisor] = [rounded.values, rounded.divisor].map((tensor) => [...tensorElements(tensor)].map(Number));
    const error = (integers: readonly number[]) =>
      loss(
        Float64Array.from(integers, (q, index) => q * (divisor?.[index] ?? 0) - (weights[index] ?? 0)),
        moments,
      );
    const nearest = [...weights].map((w, index) => Math.round(w / (divisor?.[index] ?? 1)));
    return {
      weights,
      moments,
      divisor: divisor ?? [],
      whole: whole ?? [],
      found: error(whole ?? []),
      nearest: error(nearest),
    };
  };

  test('AdaRound has at most the error of rounding to the nearest on its samples, and mostly less', async () => {
    let better = 0;
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const { found, nearest } = await errorsOf(adaround(200), seed);
        expect(found).toBeLessThanOrEqual(nearest * 1.0001);
        if (found < nearest * 0.9) better++;
      }),
      { numRuns: 6 },
    );
    expect(better).toBeGreaterThan(2);
  });

  test("GPTQ rounds as the paper's equations do in double precision", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 1e6 }), async (seed) => {
        const { weights, moments, divisor, whole, found, nearest } = await errorsOf(gptq(0.01), seed);
        const expected = optimalBrainQuantization(weights, moments, divisor, bits === 4 ? 7 : 127);
        const different = whole.filter((q, index) => q !== expected[index]);
        expect(different.length).toBeLessThanOrEqual(whole.length / 20); // ties of float32
        expect(found).toBeLessThan(nearest);
      }),
      { numRuns: 6 },
    );
  });
});

/** GPTQ by its equations, the inverse by elimination. */
function optimalBrainQuantization(
  weights: Float32Array,
  moments: Float64Array,
  divisor: readonly number[],
  highest: number,
): number[] {
  const mean = Array.from({ length: INPUTS }, (_, i) => moments[i * INPUTS + i] ?? 0).reduce((a, b) => a + b) / INPUTS;
  const damped = moments.map((value, index) => value + (index % (INPUTS + 1) === 0 ? 0.01 * mean : 0));
  const inverse = invert(damped);
  const w = Float64Array.from(weights);
  const at = (matrix: Float64Array, row: number, column: number, width: number) => matrix[row * width + column] ?? 0;
  const whole: number[] = [];
  for (let i = 0; i < INPUTS; i++) {
    const own = at(inverse, i, i, INPUTS);
    for (let channel = 0; channel < CHANNELS; channel++) {
      const value = at(w, i, channel, CHANNELS);
      const step = divisor[i * CHANNELS + channel] ?? 1;
      const q = Math.min(Math.max(Math.round(value / step), -highest), highest);
      whole[i * CHANNELS + channel] = q;
      const error = (value - q * step) / own;
      for (let j = i; j < INPUTS; j++)
        w[j * CHANNELS + channel] = at(w, j, channel, CHANNELS) - at(inverse, j, i, INPUTS) * error;
    }
    const row = inverse.slice(i * INPUTS, (i + 1) * INPUTS);
    for (let j = 0; j < INPUTS; j++) {
      const factor = at(inverse, j, i, INPUTS) / own;
      for (let k = 0; k < INPUTS; k++) inverse[j * INPUTS + k] = at(inverse, j, k, INPUTS) - factor * (row[k] ?? 0);
    }
  }
  return whole;
}

/** Gauss-Jordan elimination: the steps that turn a matrix into the identity turn the identity into its inverse. */
function invert(matrix: Float64Array): Float64Array {
  const rows = Array.from({ length: INPUTS }, (_, i) => [
    ...matrix.subarray(i * INPUTS, (i + 1) * INPUTS),
    ...Array.from({ length: INPUTS }, (_, j) => (i === j ? 1 : 0)),
  ]);
  for (const [pivot, row] of rows.entries()) {
    const scale = row[pivot] ?? 1;
    for (const k of row.keys()) row[k] = (row[k] ?? 0) / scale;
    for (const other of rows) {
      if (other === row) continue;
      const factor = other[pivot] ?? 0;
      for (const k of other.keys()) other[k] = (other[k] ?? 0) - factor * (row[k] ?? 0);
    }
  }
  return Float64Array.from(rows.flatMap((row) => row.slice(INPUTS)));
}

/** y = x · W + b */
function layer(): Model {
  const b = new GraphBuilder('layer');
  const x = b.input('x', DataType.FLOAT, ['n', INPUTS]);
  const w = b.initializer(makeTensor('layer.weight', [INPUTS, CHANNELS], noise(INPUTS * CHANNELS, 5)));
  const bias = b.initializer(makeTensor('layer.bias', [CHANNELS], noise(CHANNELS, 6)));
  b.scope('layer', () => b.output('y', b.add(b.matmul(x, w), bias)));
  return b.finish();
}

const samples = listedSamples(
  [0, 1, 2, 3].map((place) => {
    const x = layerInputs(50, place).map((value) => value + 0.5);
    return { place, feeds: { x: floats(x, [50, INPUTS]) } };
  }),
);

/** Results of the layer on all samples. */
async function results(model: Model): Promise<number[]> {
  await using session = await Session.create(modelBytes(model));
  const all: number[] = [];
  for await (const { feeds } of samples.samples()) {
    using outputs = await session.run(feeds);
    all.push(...floatData(outputs.get('y')));
  }
  return all;
}

const meanError = (a: readonly number[], b: readonly number[]) =>
  Array.from({ length: CHANNELS }, (_, channel) => {
    const errors = a.flatMap((value, index) => (index % CHANNELS === channel ? [value - (b[index] ?? 0)] : []));
    return Math.abs(errors.reduce((sum, error) => sum + error, 0) / errors.length);
  }).reduce((sum, error) => sum + error, 0);

describe('a quantized layer', () => {
  const four: WeightScheme = { bits: 4, block: 8, per: 'channel', observer: 'mse' };

  test('with a corrected bias has the mean of the float layer', async () => {
    const model = layer();
    const asked = recipe([{ technique: 'correct-bias', match: ['**'], optional: false }], four);
    const statistics = await calibrate(model, valuesToObserve(model, asked), samples);
    const expected = await results(model);
    const plain = await results((await quantizeModel(model, recipe([], four), { statistics })).model);
    const corrected = await results((await quantizeModel(model, asked, { statistics })).model);
    expect(meanError(corrected, expected)).toBeLessThan(meanError(plain, expected) / 3);
  });

  test('in 4 bits is stored in 4 bits, and GPTQ reduces its error', async () => {
    const model = layer();
    const { model: quantized } = await quantizeModel(model, recipe([], four));
    const stored = quantized.graph.initializer.filter(({ dataType }) => dataType === DataType.INT4);
    expect(stored.map(({ rawData }) => rawData.length)).toEqual([(INPUTS * CHANNELS) / 2]);
    expect(quantized.graph.initializer.some(({ name }) => name === 'layer.weight')).toBe(false);
    const asked = recipe([{ technique: 'gptq', match: ['**'], damping: 0.01, optional: false }], four);
    const rounded = await roundModel(model, planQuantization(model, asked), samples);
    const expected = await results(model);
    const error = (found: readonly number[]) =>
      found.reduce((sum, value, index) => sum + (value - (expected[index] ?? 0)) ** 2, 0);
    const better = await results((await quantizeModel(model, asked, { rounded })).model);
    expect(error(better)).toBeLessThan(error(await results(quantized)));
  });
});
