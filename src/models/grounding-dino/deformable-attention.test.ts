/** The kernel agrees with the function's body, for every instruction set of this machine. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { differentiate } from '../../autodiff/differentiate.ts';
import { gradientName } from '../../autodiff/differentiation.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { DEFORMABLE_ATTENTION, DOMAIN } from '../../onnx/dino8-operators.ts';
import { parseModel } from '../../onnx/read.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { profileRun } from '../../runtime/profile.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats, integers, type Tensor } from '../../runtime/tensor.ts';
import { largestDifference } from '../../testing/difference.ts';
import {
  hasKernelPath,
  hasKernels,
  KERNEL_PATHS,
  withTrainingKernels as kernelOptions,
} from '../../testing/kernels.ts';
import { noise } from '../../testing/noise.ts';
import { deformableAttentionFunction } from './deformable-attention.ts';

type ValueType = DataType.FLOAT | DataType.UINT8 | DataType.INT8;

function attentionModel(levels: number, type: ValueType): Uint8Array {
  const b = new GraphBuilder('attention');
  b.define(deformableAttentionFunction(levels));
  const inputs = [
    b.input('value', type, ['batch', 'positions', 'heads', 'size']),
    b.input('value_scale', DataType.FLOAT, []),
    b.input('value_zero_point', type, []),
    b.input('spatial_shapes', DataType.INT64, [levels, 2]),
    b.input('reference_points', DataType.FLOAT, ['batch', 'queries', levels, 2]),
    b.input('offset_scale', DataType.FLOAT, ['scale_batch', 'scale_queries', levels, 2]),
    b.input('sampling_offsets', DataType.FLOAT, ['batch', 'queries', 'heads', levels, 'points', 2]),
    b.input('attention_logits', DataType.FLOAT, ['batch', 'queries', 'heads', 'samples']),
  ];
  const [output] = b.call(DOMAIN, DEFORMABLE_ATTENTION, inputs);
  if (output) b.output('output', output, ['batch', 'queries', 'width']);
  return modelBytes(b.finish());
}

const TRAINED = ['value', 'sampling_offsets', 'attention_logits'];

/** The gradients of Σ output · weights. */
function gradientModel(levels: number): Uint8Array {
  const model = parseModel(new Uint8Array(attentionModel(levels, DataType.FLOAT)), 'attention');
  const b = new GraphBuilder('gradients', model);
  const weights = b.input('weights', DataType.FLOAT, ['batch', 'queries', 'width']);
  const loss = b.reduceSum(b.mul(b.value('output'), weights), [0, 1, 2], false);
  return modelBytes(differentiate(b.finish(), { loss: loss.name, parameters: TRAINED }));
}

interface Problem {
  readonly levels: [height: number, width: number][];
  readonly batch: number;
  readonly heads: number;
  readonly size: number;
  readonly queries: number;
  readonly points: number;
  readonly shared: boolean;
  readonly seed: number;
}

const problems: fc.Arbitrary<Problem> = fc.record({
  levels: fc.array(fc.tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 })), {
    minLength: 3,
    maxLength: 3,
  }),
  batch: fc.integer({ min: 1, max: 3 }),
  heads: fc.integer({ min: 1, max: 4 }),
  size: fc.constantFrom(1, 3, 8, 16, 24, 32, 67),
  queries: fc.integer({ min: 1, max: 70 }),
  points: fc.integer({ min: 1, max: 6 }),
  shared: fc.boolean(),
  seed: fc.integer(),
});

/** Values in about −1 … 1, in the type asked for. */
function valuesOf(type: ValueType, shape: number[], seed: number): Record<string, Tensor> {
  const values = noise(
    shape.reduce((product, size) => product * size, 1),
    seed,
  );
  if (type === DataType.FLOAT)
    return {
      value: floats(values, shape),
      value_scale: floats(Float32Array.of(1), []),
      value_zero_point: floats(new Float32Array(1), []),
    };
  const Elements = type === DataType.UINT8 ? Uint8Array : Int8Array;
  const [scale, zeroPoint] = type === DataType.UINT8 ? [1 / 130, 117] : [1 / 120, -5];
  return {
    value: { type, shape, data: new Elements(values.map((value) => Math.round(value / scale) + zeroPoint)) },
    value_scale: floats(Float32Array.of(scale), []),
    value_zero_point: { type, shape: [], data: Elements.of(zeroPoint) },
  };
}

function feedsOf(
  { levels, batch, heads, size, queries, points, shared, seed }: Problem,
  type: ValueType = DataType.FLOAT,
): Record<string, Tensor> {
  const positions = levels.reduce((sum, [height, width]) => sum + height * width, 0);
  const count = levels.length;
  const random = (salt: number, scale: number, shape: number[]) =>
    floats(
      noise(
        shape.reduce((product, size) => product * size, 1),
        seed + salt,
      ).map((value) => value * scale),
      shape,
    );
  const scaleShape = shared ? [1, 1, count, 2] : [batch, queries, count, 2];
  return {
    ...valuesOf(type, [batch, positions, heads, size], seed),
    spatial_shapes: integers(levels.flat(), [count, 2]),
    // Some points are outside of the image, and some are exactly on its borders.
    reference_points: random(2, 1.3, [batch, queries, count, 2]),
    offset_scale: random(3, 0.3, scaleShape),
    sampling_offsets: random(4, 2, [batch, queries, heads, count, points, 2]),
    attention_logits: random(5, 6, [batch, queries, heads, count * points]),
  };
}

/**
 * Floats are summed in another order. For bytes the weights of the four corners of a sample, relative to the sample with the
 * highest weight, are rounded to 15 bits, or to fewer for more than 256 samples; the values are at most 1.
 */
function toleranceOf({ levels, points }: Problem, type: ValueType): number {
  const samples = levels.length * points;
  const rounding = (0.5 / 32767) * Math.max(1, samples / 256);
  return type === DataType.FLOAT ? 1e-5 : 4 * samples * rounding + 1e-5;
}

async function run(session: Session, feeds: Record<string, Tensor>): Promise<Float32Array> {
  using outputs = await session.run(feeds);
  return floatData(outputs.get('output')).slice();
}

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

describe.runIf(hasKernels)('the deformable attention kernel', () => {
  const model = attentionModel(3, DataType.FLOAT);

  const types = [DataType.FLOAT, DataType.UINT8, DataType.INT8] as const;
  const cases = KERNEL_PATHS.flatMap((path) => types.map((type) => [path, type] as const));

  for (const [path, type] of cases)
    test.runIf(hasKernelPath(path))(`agrees with the body (${path}, values ${DataType[type]})`, async () => {
      process.env.DINO8_KERNEL_PATH = path;
      const typed = attentionModel(3, type);
      await using kernel = await Session.create(typed, kernelOptions);
      await using body = await Session.create(typed);
      await fc.assert(
        fc.asyncProperty(problems, async (problem) => {
          const feeds = feedsOf(problem, type);
          const [actual, expected] = [await run(kernel, feeds), await run(body, feeds)];
          return largestDifference(actual, expected) <= toleranceOf(problem, type);
        }),
        { numRuns: 40 },
      );
    });

  for (const path of KERNEL_PATHS)
    test.runIf(hasKernelPath(path))(`its gradient agrees with that of the body (${path})`, async () => {
      process.env.DINO8_KERNEL_PATH = path;
      await using kernel = await Session.create(gradientModel(3), kernelOptions);
      await using body = await Session.create(gradientModel(3));
      await fc.assert(
        fc.asyncProperty(problems, async (problem) => {
          const feeds = feedsOf(problem);
          const { batch, queries, heads, size, seed } = problem;
          const weights = floats(noise(batch * queries * heads * size, seed + 9), [batch, queries, heads * size]);
          using actual = await kernel.run({ ...feeds, weights });
          using expected = await body.run({ ...feeds, weights });
          for (const name of TRAINED.map(gradientName))
            expect(largestDifference(floatData(actual.get(name)), floatData(expected.get(name)))).toBeLessThan(2e-5);
        }),
        { numRuns: 20 },
      );
    });

  const problem: Problem = {
    levels: [
      [4, 5],
      [2, 3],
      [1, 1],
    ],
    batch: 1,
    heads: 2,
    size: 8,
    queries: 5,
    points: 2,
    shared: true,
    seed: 1,
  };

  test.each(types)('runs in place of the body (values of type %i)', async (type) => {
    const profile = await profileRun(attentionModel(3, type), kernelOptions, feedsOf(problem, type));
    expect(profile.map((node) => node.operator)).toEqual([DEFORMABLE_ATTENTION]);
  });

  test('refuses shapes that contradict each other, and reads nothing outside', async () => {
    await using kernel = await Session.create(model, kernelOptions);
    const feeds = feedsOf(problem);
    const wrong = { ...feeds, spatial_shapes: integers([4, 5, 2, 3, 2, 2], [3, 2]) };
    await expect(run(kernel, wrong)).rejects.toThrow(/spatial_shapes do not fit/);
    const short = { ...feeds, attention_logits: floats(new Float32Array(5 * 2 * 4), [1, 5, 2, 4]) };
    await expect(run(kernel, short)).rejects.toThrow(/contradict each other/);
  });

  test.each(types)('takes hundreds of points of one place, whose weights add up (values of type %i)', async (type) => {
    const typed = attentionModel(3, type);
    await using kernel = await Session.create(typed, kernelOptions);
    await using body = await Session.create(typed);
    const many: Problem = { ...problem, points: 340 };
    const feeds = feedsOf(many, type);
    const samples = 3 * many.points;
    const same = {
      ...feeds,
      sampling_offsets: floats(new Float32Array(5 * 2 * samples * 2), [1, 5, 2, 3, many.points, 2]),
      reference_points: floats(new Float32Array(5 * 3 * 2).fill(0.5), [1, 5, 3, 2]),
      attention_logits: floats(new Float32Array(5 * 2 * samples), [1, 5, 2, samples]),
    };
    // All weights are rounded the same way here, and their sum is the number of samples.
    const tolerance = toleranceOf(many, type) / samples + 1e-5;
    expect(largestDifference(await run(kernel, same), await run(body, same))).toBeLessThan(tolerance);
  });

  test.each(types)('is not a number where the softmax is none (values of type %i)', async (type) => {
    await using kernel = await Session.create(attentionModel(3, type), kernelOptions);
    for (const odd of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const feeds = feedsOf(problem, type);
      const logits = floats(new Float32Array(5 * 2 * 6), [1, 5, 2, 6]);
      logits.data[6 + 4] = odd; // of the second head of the first query
      const found = await run(kernel, { ...feeds, attention_logits: logits });
      expect([...found].map(Number.isNaN)).toEqual(Array.from({ length: 5 * 16 }, (_, at) => at >= 8 && at < 16));
    }
  });

  test('leaves out sampling points that are not numbers', async () => {
    await using kernel = await Session.create(model, kernelOptions);
    const feeds = feedsOf(problem);
    const nowhere = floats(new Float32Array(5 * 3 * 2).fill(Number.NaN), [1, 5, 3, 2]);
    expect(await run(kernel, { ...feeds, reference_points: nowhere })).toEqual(new Float32Array(5 * 16));
  });
});
