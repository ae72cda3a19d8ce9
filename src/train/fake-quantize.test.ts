/** Fake quantization is compared with ONNX's Q/DQ pair, its gradients with the paper's, and the kernel with the body. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { differentiate } from '../autodiff/differentiate.ts';
import { gradientName } from '../autodiff/differentiation.ts';
import { roundHalfToEven } from '../base/round.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType, elementCount } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { INT8, UINT8 } from '../quant/scheme.ts';
import { kernelLibrary } from '../runtime/kernels.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats, tensor } from '../runtime/tensor.ts';
import { noise } from '../testing/noise.ts';
import { FAKE_QUANTIZE_RULES, fakeQuantize } from './fake-quantize.ts';

interface Problem {
  readonly shape: number[];
  /** The axis with a scale each; none for one scale. */
  readonly axis: number | undefined;
  readonly signed: boolean;
  readonly seed: number;
}

const problems: fc.Arbitrary<Problem> = fc
  .array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 })
  .chain((shape) =>
    fc.record({
      shape: fc.constant(shape),
      axis: fc.option(fc.integer({ min: 0, max: shape.length - 1 }), { nil: undefined }),
      signed: fc.boolean(),
      seed: fc.integer(),
    }),
  );

const scaleShape = ({ shape, axis }: Problem) =>
  axis === undefined ? [] : shape.map((size, index) => (index === axis ? size : 1));

/** Σ y · weight, y being fake-quantized x, and the ONNX operators' result beside it. */
async function run(problem: Problem, enabled: boolean, kernels: boolean) {
  const { shape, axis, signed, seed } = problem;
  const scheme = signed ? INT8 : UINT8;
  const shapeOfScale = scaleShape(problem);
  const b = new GraphBuilder('fake');
  const x = b.input('x', DataType.FLOAT, shape);
  const scale = b.input('scale', DataType.FLOAT, shapeOfScale);
  const zeroPoint = signed ? 0 : 111;
  const y = fakeQuantize(b, {
    x,
    scale,
    zeroPoint,
    scheme,
    enabled: b.scalar(enabled ? 1 : 0),
    elements: elementCount(shape),
  });
  b.output('y', y);
  const type = signed ? DataType.INT8 : DataType.UINT8;
  const scales = axis === undefined ? scale : b.reshape(scale, [-1]);
  const zeros = b.expand(b.constant(signed ? Int8Array.of(0) : Uint8Array.of(zeroPoint), [], type), [
    b.shapeOf(scales),
  ]);
  const settings = axis === undefined ? {} : { axis };
  const [q] = b.call('', 'QuantizeLinear', [x, scales, zeros], settings);
  const [back] = q ? b.call('', 'DequantizeLinear', [q, scales, zeros], settings) : [];
  if (back) b.output('expected', back);
  const loss = b.reduceSum(b.reshape(b.mul(y, b.input('weight', DataType.FLOAT, shape)), [-1]), [0], false);
  const derived = differentiate(b.finish(), {
    loss: loss.name,
    parameters: ['x', 'scale'],
    rules: FAKE_QUANTIZE_RULES,
  });
  await using session = await Session.create(modelBytes(derived), {
    customOperators: kernels ? [kernelLibrary() ?? ''] : [],
    trainingOperators: true,
  });
  const values = noise(elementCount(shape), seed).map((value) => value * 3);
  const scaleValues = noise(elementCount(shapeOfScale), seed + 1).map((value) => 0.01 + 0.01 * Math.abs(value));
  const weights = noise(elementCount(shape), seed + 2);
  using outputs = await session.run({
    x: floats(values, shape),
    scale: tensor(scaleValues, shapeOfScale),
    weight: floats(weights, shape),
  });
  const get = (name: string) => floatData(outputs.get(name)).slice();
  return {
    values,
    scaleValues,
    weights,
    scheme,
    zeroPoint,
    y: get('y'),
    expected: get('expected'),
    byValue: get(gradientName('x')),
    byScale: get(gradientName('scale')),
  };
}

/** Equation 3 of the paper, summed for each scale and divided by √(elements · highest). */
function paperGradients(
  { shape, axis }: Problem,
  { values, scaleValues, weights, scheme, zeroPoint }: Awaited<ReturnType<typeof run>>,
) {
  const inner = axis === undefined ? 1 : elementCount(shape.slice(axis + 1));
  const [low, high] = [scheme.lowest - zeroPoint, scheme.highest - zeroPoint];
  const byScale = new Array<number>(scaleValues.length).fill(0);
  const byValue = [...values].map((value, index) => {
    const channel = axis === undefined ? 0 : Math.floor(index / inner) % (shape[axis] ?? 1);
    const ratio = Math.fround(value / (scaleValues[channel] ?? 1));
    const weight = weights[index] ?? 0;
    const bound = ratio <= low ? low : ratio >= high ? high : undefined;
    const factor = 1 / Math.sqrt(values.length * scheme.highest);
    byScale[channel] = (byScale[channel] ?? 0) + weight * factor * (bound ?? roundHalfToEven(ratio) - ratio);
    return bound === undefined ? weight : 0;
  });
  return { byValue, byScale };
}

const variants = kernelLibrary() === undefined ? [false] : [false, true];

describe.each(variants)('with the kernel library: %s', (kernels) => {
  test('fake quantization agrees with QuantizeLinear and DequantizeLinear', async () => {
    await fc.assert(
      fc.asyncProperty(problems, async (problem) => {
        const { y, expected, values, scaleValues } = await run(problem, true, kernels);
        const largest = Math.max(...scaleValues);
        for (const [index, value] of y.entries()) {
          // INT8 leaves out −128, which QuantizeLinear does not.
          if (problem.signed && Math.abs(values[index] ?? 0) > 1.27) continue;
          expect(Math.abs(value - (expected[index] ?? Number.NaN))).toBeLessThan(1e-6 * largest + 1e-6);
        }
      }),
      { numRuns: 40 },
    );
  });

  test('the gradients are those of learned step sizes', async () => {
    await fc.assert(
      fc.asyncProperty(problems, async (problem) => {
        const found = await run(problem, true, kernels);
        const expected = paperGradients(problem, found);
        expect([...found.byValue]).toEqual(expected.byValue);
        for (const [channel, value] of expected.byScale.entries())
          expect(Math.abs((found.byScale[channel] ?? Number.NaN) - value)).toBeLessThan(
            1e-5 * Math.max(1, Math.abs(value)),
          );
      }),
      { numRuns: 40 },
    );
  });

  test('fake quantization that is turned off returns its input', async () => {
    const problem = { shape: [3, 5], axis: 1, signed: true, seed: 4 };
    const { y, values, byValue, byScale, weights } = await run(problem, false, kernels);
    expect(y).toEqual(values);
    expect(byValue).toEqual(weights);
    expect([...byScale]).toEqual([0, 0, 0, 0, 0]);
  });
});
