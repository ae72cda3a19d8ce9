/** The affine map between numbers and integers. */
import fc from 'fast-check';
import { describe, test } from 'vitest';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floats } from '../runtime/tensor.ts';
import { affineOf, dequantize, INT8, quantize, UINT8 } from './scheme.ts';

const number = fc.float({ min: -1000, max: 1000, noNaN: true });
const range = fc.tuple(number, number).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

describe('the affine map', () => {
  test('0 is represented exactly, and every number in the range to half a step', () => {
    fc.assert(
      fc.property(
        range,
        fc.constantFrom(UINT8, INT8),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seen, scheme, fraction) => {
          const affine = affineOf(seen, scheme);
          const wide = { min: Math.min(0, seen.min), max: Math.max(0, seen.max) };
          const x = wide.min + fraction * (wide.max - wide.min);
          const error = Math.abs(dequantize(quantize(x, affine, scheme), affine) - x);
          return dequantize(quantize(0, affine, scheme), affine) === 0 && error <= affine.scale * 0.5000001 + 1e-9;
        },
      ),
    );
  });

  test("rounds and clamps as ONNX Runtime's QuantizeLinear", async () => {
    const b = new GraphBuilder('quantize');
    const inputs = [
      b.input('x', DataType.FLOAT, ['n']),
      b.input('s', DataType.FLOAT, []),
      b.input('z', DataType.UINT8, []),
    ];
    const [q] = b.call('', 'QuantizeLinear', inputs);
    if (q) b.output('q', q, ['n']);
    await using session = await Session.create(modelBytes(b.finish()));
    await fc.assert(
      fc.asyncProperty(range, fc.array(number, { minLength: 1, maxLength: 50 }), async (seen, numbers) => {
        const { scale, zeroPoint } = affineOf(seen, UINT8);
        const affine = { scale: Math.fround(scale), zeroPoint };
        using outputs = await session.run({
          x: floats(Float32Array.from(numbers), [numbers.length]),
          s: floats(Float32Array.of(affine.scale), []),
          z: { type: DataType.UINT8, shape: [], data: Uint8Array.of(zeroPoint) },
        });
        // In float32, as there: the quotient decides where exactly halves fall.
        const expected = numbers.map((x) => quantize(Math.fround(x / affine.scale) * affine.scale, affine, UINT8));
        const actual = [...outputs.get('q').data].map(Number);
        return actual.every(
          (value, index) =>
            Math.abs(value - (expected[index] ?? -1)) <= (isTie((numbers[index] ?? 0) / affine.scale) ? 1 : 0),
        );
      }),
      { numRuns: 60 },
    );
  });
});

/** So near to a half that float32 and double may round it apart. */
const isTie = (x: number) => Math.abs(Math.abs(x % 1) - 0.5) < 1e-3;
