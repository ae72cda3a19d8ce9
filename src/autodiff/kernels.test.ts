/** The kernels of gradients compute the same as the bodies of their functions, with each instruction set of this machine. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { profileRun } from '../runtime/profile.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats } from '../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withTrainingKernels as options } from '../testing/kernels.ts';
import { noise } from '../testing/noise.ts';
import { layerNormalizationGradient } from './functions/layer-normalization-gradient.ts';
import { softmaxGradient } from './functions/softmax-gradient.ts';

function model(): Uint8Array {
  const b = new GraphBuilder('gradients');
  const x = b.input('x', DataType.FLOAT, ['rows', 'more', 'channels']);
  const gradient = b.input('gradient', DataType.FLOAT, ['rows', 'more', 'channels']);
  const scale = b.input('scale', DataType.FLOAT, ['channels']);
  b.output('softmax', softmaxGradient(b, x, gradient), ['rows', 'more', 'channels']);
  for (const [index, value] of layerNormalizationGradient(b, { x, scale, epsilon: 1e-3, gradient }).entries())
    b.output(`normalization_${index}`, value, value.shape);
  return modelBytes(b.finish());
}

const feedsOf = (rows: number, more: number, channels: number, seed: number) => {
  const shape = [rows, more, channels];
  const values = (salt: number) => floats(noise(rows * more * channels, seed + salt), shape);
  return { x: values(0), gradient: values(1), scale: floats(noise(channels, seed + 2), [channels]) };
};

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

describe.runIf(hasKernels)('the kernels of the gradients of layer normalisation and softmax', () => {
  for (const path of KERNEL_PATHS)
    test.runIf(hasKernelPath(path))(`agree with the bodies of their functions (${path})`, async () => {
      process.env.DINO8_KERNEL_PATH = path;
      await using kernel = await Session.create(model(), options);
      await using body = await Session.create(model());
      const dimension = fc.integer({ min: 1, max: 60 });
      await fc.assert(
        fc.asyncProperty(
          dimension,
          dimension,
          fc.integer({ min: 2, max: 70 }),
          fc.integer(),
          async (rows, more, channels, seed) => {
            const feeds = feedsOf(rows, more, channels, seed);
            using actual = await kernel.run(feeds);
            using expected = await body.run(feeds);
            for (const name of expected.names) {
              const { shape } = expected.get(name);
              const wanted = floatData(expected.get(name));
              // The gradients of the scale and the bias are sums over up to 3,600 rows, which are rounded in another order.
              const largest = shape.length > 1 ? 0 : wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
              expect(largestDifference(floatData(actual.get(name)), wanted), name).toBeLessThan(1e-4 + 1e-5 * largest);
            }
          },
        ),
        { numRuns: 25 },
      );
    });

  test('run in place of the bodies of their functions', async () => {
    const profile = await profileRun(model(), options, feedsOf(2, 3, 4, 1));
    expect(profile.map((node) => node.operator).toSorted()).toEqual(['LayerNormalizationGradient', 'SoftmaxGradient']);
  });

  test('compute the same bits with any number of threads', async () => {
    const feeds = feedsOf(50, 60, 64, 5);
    await using one = await Session.create(model(), { ...options, threads: 1 });
    await using two = await Session.create(model(), { ...options, threads: 2 });
    using first = await one.run(feeds);
    using second = await two.run(feeds);
    for (const name of first.names)
      expect(haveSameBytes(floatData(second.get(name)), floatData(first.get(name))), name).toBe(true);
  });
});
