/** The observation of values, the statistics, and the ranges that observers choose. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { packageRoot } from '../../base/package-root.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { DOMAIN, OBSERVE } from '../../onnx/dino8-operators.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { kernelLibrary, kernelOptions } from '../../runtime/kernels.ts';
import { profileRun } from '../../runtime/profile.ts';
import { type Feeds, Session } from '../../runtime/session.ts';
import { booleans, floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { affineOf, dequantize, INT8, quantize, type Range, type Scheme, UINT8 } from '../scheme.ts';
import { calibrate } from './calibrate.ts';
import { entropyMaximum, entropyRange } from './entropy.ts';
import { BINS_PER_SIDE, type BinnedValues, binned } from './histogram.ts';
import { minimumErrorRange } from './mean-squared-error.ts';
import { COUNTERS, observeFunction } from './observe-function.ts';
import { estimateRange, observerOf } from './observer.ts';
import { observingModel } from './observing-model.ts';
import { percentileMaximum, percentileRange, topKRange } from './percentile.ts';
import { listedSamples, type ObservationRules, type SampleSource } from './sample.ts';
import { addObservation, emptyStatistic, mergeStatistic, type Statistic } from './statistic.ts';

const library = kernelLibrary();

function observer(): Uint8Array {
  const b = new GraphBuilder('observer');
  b.define(observeFunction());
  const x = b.input('x', DataType.FLOAT, ['batch', 'rows', 'channels']);
  const valid = b.input('valid', DataType.BOOL, ['batch', 'rows_or_one']);
  const [counts, summary, channels, zero] = b.call(DOMAIN, OBSERVE, [x, valid, b.scalar(100)], {}, 4);
  if (!counts || !summary || !channels || !zero) throw new Error('the function has four results');
  b.output('counts', counts, [COUNTERS]);
  b.output('summary', summary, [4]);
  b.output('channels', channels, [undefined]);
  b.output('zero', zero, [1]);
  return modelBytes(b.finish());
}

/** Runs the operator by its body or by the kernel. */
async function observe(session: Session, feeds: Feeds) {
  using outputs = await session.run(feeds);
  return {
    counts: [...(outputs.get('counts').data as Int32Array)], // as declared
    summary: [...floatData(outputs.get('summary'))],
    channels: [...floatData(outputs.get('channels'))],
    zero: [...outputs.get('zero').data],
  };
}

const shape = fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 70 }));

describe('the function Observe', () => {
  test('agrees with a plain loop', async () => {
    await using session = await Session.create(observer());
    await fc.assert(
      fc.asyncProperty(
        shape,
        fc.integer(),
        fc.integer({ min: -20, max: 6 }),
        async ([batch, rows, width], seed, power) => {
          const data = noise(batch * rows * width, seed).map((value) => value * 2 ** power);
          data[0] = Number.NaN;
          if (data.length > 2) data[1] = Number.POSITIVE_INFINITY;
          const flags = Uint8Array.from({ length: batch }, (_, index) => (index === 1 ? 0 : 1));
          const seen = await observe(session, {
            x: floats(data, [batch, rows, width]),
            valid: booleans(flags, [batch, 1]),
          });
          const counted = data.filter(
            (value, index) => Math.abs(value) <= 100 && flags[Math.floor(index / (rows * width))] === 1,
          );
          const [min, max, exponent = 0] = seen.summary;
          expect(seen.counts.reduce((sum, count) => sum + count)).toBe(data.length);
          expect(seen.counts.at(-1)).toBe(data.length - counted.length);
          expect(seen.zero).toEqual([0n]);
          if (counted.length === 0) return;
          expect([min, max]).toEqual([Math.min(...counted), Math.max(...counted)]);
          const expected = new Array<number>(2 * BINS_PER_SIDE).fill(0);
          for (const value of counted) {
            const bin = Math.floor(value / 2 ** exponent) + BINS_PER_SIDE;
            expected[bin] = (expected[bin] ?? 0) + 1;
          }
          expect(seen.counts.slice(0, -1)).toEqual(expected);
          // The bins are as narrow as they can be: the largest magnitude is in the outer half.
          const largest = Math.max(...counted.map(Math.abs));
          expect(largest / 2 ** exponent).toBeLessThan(BINS_PER_SIDE);
          expect(largest / 2 ** exponent).toBeGreaterThanOrEqual(BINS_PER_SIDE / 2);
        },
      ),
      { numRuns: 60 },
    );
  });

  test.skipIf(!library)('the kernel returns the results of the body, for any number of threads', async () => {
    await using body = await Session.create(observer());
    const kernels = await Promise.all(
      [1, 2].map((threads) =>
        Session.create(observer(), { threads, customOperators: [library ?? ''], trainingOperators: true }),
      ),
    );
    for (const [batch, rows, width, blocks] of [
      [1, 1, 1, 1],
      [2, 700, 96, 1],
      [3, 5, 1, 5],
      [1, 300_000, 1, 1],
      [2, 40, 1500, 40],
    ] as const) {
      const data = noise(batch * rows * width, rows).map((value, index) => (index % 97 === 0 ? 0 : value * 3));
      const flags = Uint8Array.from({ length: batch * blocks }, (_, index) => (index % 3 === 2 ? 0 : 1));
      const feeds = { x: floats(data, [batch, rows, width]), valid: booleans(flags, [batch, blocks]) };
      const expected = await observe(body, feeds);
      const found = await Promise.all(kernels.map((kernel) => observe(kernel, feeds)));
      for (const { counts, summary, channels, zero } of found) {
        expect(zero).toEqual(expected.zero);
        expect(counts).toEqual(expected.counts);
        expect(summary).toEqual(expected.summary);
        for (const [index, value] of channels.entries())
          expect(Math.abs(value - (expected.channels[index] ?? 0))).toBeLessThan(1e-5);
      }
      expect(found[1]).toEqual(found[0]);
    }
    for (const kernel of kernels) await kernel.close();
  });
});

/** A statistic of some images, of which image i has the numbers `images[i]`. */
function statisticOf(
  images: readonly number[][],
  places = images.map((_, place) => place),
  total = images.length,
): Statistic {
  const statistic = emptyStatistic();
  for (const [index, numbers] of images.entries()) {
    const largest = Math.max(...numbers.map(Math.abs), 2 ** -50);
    const exponent = Math.floor(Math.log2(largest)) - 10;
    const counts = new Int32Array(COUNTERS);
    for (const x of numbers) {
      const bin = Math.floor(x / 2 ** exponent) + BINS_PER_SIDE;
      counts[bin] = (counts[bin] ?? 0) + 1;
    }
    const [min, max] = [Math.min(...numbers), Math.max(...numbers)];
    const mean = numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
    const place = places[index] ?? 0;
    addObservation(
      statistic,
      { min, max, exponent, counts, channels: Float32Array.of(min, max, mean) },
      { place, total, tokens: 1 + (place % 250) },
    );
  }
  return statistic;
}

const float = fc.float({ min: -100, max: 100, noNaN: true });
const images = fc.array(fc.array(float, { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 12 });

describe('statistics', () => {
  test('are the same to the bit in any order, and from any parts', () => {
    fc.assert(
      fc.property(images, fc.integer({ min: 1, max: 4 }), fc.infiniteStream(fc.nat()), (all, parts, random) => {
        const whole = statisticOf(all);
        const order = all.map((_, place) => ({ place, key: random.next().value })).sort((a, b) => a.key - b.key);
        const shuffled = statisticOf(
          order.map(({ place }) => all[place] ?? []),
          order.map(({ place }) => place),
          all.length,
        );
        expect(shuffled).toEqual(whole);
        const merged = emptyStatistic();
        for (let part = 0; part < parts; part++) {
          const places = all.map((_, place) => place).filter((place) => place % parts === part);
          mergeStatistic(
            merged,
            statisticOf(
              places.map((place) => all[place] ?? []),
              places,
              all.length,
            ),
          );
        }
        expect(merged).toEqual(whole);
      }),
    );
  });

  test('the moving average is the recurrence m ← 0.9 m + 0.1 x', () => {
    fc.assert(
      fc.property(images, (all) => {
        const [first = [], ...rest] = all;
        const expected = rest.reduce((m, x) => 0.9 * m + 0.1 * Math.max(...x), Math.max(...first));
        const { movingMax } = statisticOf(all);
        expect(Math.abs(movingMax / 2 ** 24 - expected)).toBeLessThan(1e-5);
      }),
    );
  });
});

const goldenSchema = z.array(
  z.object({
    name: z.string(),
    signed: z.array(z.number()),
    signedEdges: z.array(z.number()),
    magnitudes: z.array(z.number()),
    magnitudeEdges: z.array(z.number()),
    min: z.number(),
    max: z.number(),
    percentile: z.tuple([z.number(), z.number()]),
    symmetricPercentile: z.number(),
    entropy: z.tuple([z.number(), z.number()]),
    magnitudeEntropy: z.number(),
  }),
);

describe("observers, beside onnxruntime.quantization's collectors and pytorch-quantization's definition on the same histograms,", () => {
  let golden: z.output<typeof goldenSchema>;
  beforeAll(async () => {
    const text = await readFile(join(packageRoot, 'test/fixtures/golden/observers/histograms.json'), 'utf8');
    golden = goldenSchema.parse(JSON.parse(text));
  });

  test('agree on percentiles', () => {
    for (const { signed, signedEdges, magnitudes, magnitudeEdges, min, max, ...expected } of golden) {
      const found = percentileRange({ counts: signed, edges: signedEdges }, 99.9);
      expect([Math.max(found.min, min), Math.min(found.max, max)]).toEqual(expected.percentile);
      const maximum = percentileMaximum({ counts: magnitudes, edges: magnitudeEdges }, 99.9);
      expect(maximum).toBe(expected.symmetricPercentile);
    }
  });

  test('agree on entropy', () => {
    for (const { signed, signedEdges, magnitudes, magnitudeEdges, min, max, name, ...expected } of golden) {
      const found = entropyRange({ counts: signed, edges: signedEdges });
      expect([Math.max(found.min, min), Math.min(found.max, max)], name).toEqual(expected.entropy);
      const maximum = entropyMaximum({ counts: magnitudes, edges: magnitudeEdges });
      expect(maximum, name).toBeCloseTo(expected.magnitudeEntropy, 6);
    }
  });
});

describe('observers', () => {
  /** Σ count · (x − x̂)² over the middles of the bins. */
  const squaredError = ({ counts, edges }: BinnedValues, range: Range, scheme: Scheme): number => {
    const affine = affineOf(range, scheme);
    const errorOf = (x: number) => (x - dequantize(quantize(x, affine, scheme), affine)) ** 2;
    return Array.from(counts).reduce(
      (sum, count, bin) => sum + count * errorOf(((edges[bin] ?? 0) + (edges[bin + 1] ?? 0)) / 2),
      0,
    );
  };

  test('mse has at most the error of the whole range, and this error agrees with that of the numbers themselves', () => {
    fc.assert(
      fc.property(fc.array(float, { minLength: 2, maxLength: 300 }), (numbers) => {
        const statistic = statisticOf([numbers]);
        const bins = binned(statistic.histogram);
        const seen = { min: statistic.min, max: statistic.max };
        const range = minimumErrorRange(bins, seen, UINT8);
        expect(squaredError(bins, range, UINT8)).toBeLessThanOrEqual(squaredError(bins, seen, UINT8));
        for (const part of [0.9, 0.5, 0.1]) {
          const narrower = { min: Math.min(seen.min, 0) * part, max: Math.max(seen.max, 0) * part };
          expect(squaredError(bins, range, UINT8)).toBeLessThanOrEqual(squaredError(bins, narrower, UINT8));
          const symmetric = squaredError(bins, minimumErrorRange(bins, seen, INT8), INT8);
          expect(symmetric).toBeLessThanOrEqual(squaredError(bins, narrower, INT8));
        }
        const affine = affineOf(range, UINT8);
        const error = numbers.reduce((sum, x) => sum + (x - dequantize(quantize(x, affine, UINT8), affine)) ** 2, 0);
        const width = 2 ** statistic.histogram.exponent;
        // Each number is known to the width of a bin only.
        const slack = numbers.reduce((sum) => sum + width * (affine.scale + width + Math.sqrt(error)), 0);
        expect(Math.abs(error - squaredError(bins, range, UINT8))).toBeLessThanOrEqual(slack);
      }),
    );
  });

  test('top-k leaves out at most `count` numbers on each side, and no range exceeds the observed values', () => {
    fc.assert(
      fc.property(
        fc.array(float, { minLength: 1, maxLength: 200 }),
        fc.integer({ min: 1, max: 20 }),
        (numbers, count) => {
          const statistic = statisticOf([numbers]);
          const { min, max } = topKRange(binned(statistic.histogram), count);
          expect(numbers.filter((x) => x < min).length).toBeLessThanOrEqual(count);
          expect(numbers.filter((x) => x > max).length).toBeLessThanOrEqual(count);
          for (const kind of [
            'min-max',
            'moving-average',
            'percentile',
            'entropy',
            'signed-entropy',
            'mse',
            'top-k',
          ] as const) {
            const range = estimateRange(statistic, observerOf(kind), UINT8);
            expect(range.min, kind).toBeGreaterThanOrEqual(Math.min(statistic.min, 0) - 1e-6);
            expect(range.max, kind).toBeLessThanOrEqual(Math.max(statistic.max, 0) + 1e-6);
          }
        },
      ),
      { numRuns: 12 },
    );
  });
});

describe('calibrate', () => {
  const model = () => {
    const b = new GraphBuilder('identity');
    b.output('y', b.relu(b.input('x', DataType.FLOAT, ['n', 16])));
    return b.finish();
  };
  const samples = (...batches: number[][]): SampleSource =>
    listedSamples(
      batches.map((values, place) => ({
        place,
        tokens: 3,
        feeds: { x: floats(Float32Array.from(values), [values.length / 16, 16]) },
      })),
    );
  const rules: ObservationRules = { maskLimit: 1e8 };
  const first = Array.from({ length: 32 }, (_, index) => index / 4 - 3);

  test('accepts shapes that change, and counts finite numbers only', async () => {
    const infinite = first.with(3, Number.POSITIVE_INFINITY).with(4, Number.NaN).with(5, -1e9);
    const longer = [...first, ...first.map((x) => x - 9)];
    const seen = await calibrate(model(), ['x'], samples(first, infinite, longer), { rules });
    const statistic = seen.get('x');
    expect(statistic).toMatchObject({ min: -12, max: 4.75, images: 3, excluded: 3 });
    expect(statistic?.histogram.counts.reduce((sum, count) => sum + count)).toBe(32 + 29 + 64);
  });

  test.each([true, false])('each value is observed before the next one is computed (kernels: %s)', async (kernels) => {
    const b = new GraphBuilder('chain');
    const layers = [1, 2, 3, 4].map((layer) => `layer_${layer}/Sin`);
    layers.reduce((x) => b.call('', 'Sin', [x])[0] ?? x, b.input('x', DataType.FLOAT, ['n', 16]));
    const chain = b.finish();
    for (const [index, node] of chain.graph.node.entries()) node.name = layers[index] ?? '';
    const values = chain.graph.node.map((node) => node.output[0] ?? '');
    const feeds = { x: floats(Float32Array.from(first), [2, 16]) };
    const options = kernels ? kernelOptions({ training: true }) : {};
    const ran = await profileRun(modelBytes(observingModel(chain, values, rules)), options, feeds);
    const order = ran.map(({ name }) => name);
    for (const [index, value] of values.slice(0, -1).entries()) {
      const place = (part: (name: string) => boolean) => order.findIndex(part);
      const observed = place((name) => name.startsWith(`${value}.observed.same`));
      expect(observed).toBeGreaterThanOrEqual(0);
      expect(observed).toBeLessThan(place((name) => name === layers[index + 1]));
    }
  });

  test('nothing to calibrate on, and values that are never finite, are refused', async () => {
    await expect(calibrate(model(), ['x'], samples())).rejects.toThrow(/at least one sample/);
    const nothing = new Array(16).fill(Number.NaN);
    await expect(calibrate(model(), ['x'], samples(nothing))).rejects.toThrow(/x was never finite/);
  });
});
