/** Half precision, bfloat16 and double are converted to 32-bit floats of the same value. */
import { expect, test } from 'vitest';
import { bytesOf } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { floatData, tensorOf } from '../../runtime/tensor.ts';
import { withFloatTensors } from './float-tensors.ts';

test('every floating-point type is converted to 32-bit floats with the same values', async () => {
  // 1, −2 and 0.5 by IEEE 754's half precision, and by its single precision's upper half.
  const half = Uint16Array.of(0x3c00, 0xc000, 0x3800);
  const brain = Uint16Array.of(0x3f80, 0xc000, 0x3f00);
  const stored = (type: DataType, data: Parameters<typeof bytesOf>[0]) => ({ type, shape: [3], bytes: bytesOf(data) });
  const converted = await withFloatTensors(
    new Map([
      ['half', stored(DataType.FLOAT16, half)],
      ['brain', stored(DataType.BFLOAT16, brain)],
      ['double', stored(DataType.DOUBLE, Float64Array.of(1, -2, 0.5))],
      ['float', stored(DataType.FLOAT, Float32Array.of(1, -2, 0.5))],
      ['index', stored(DataType.INT64, BigInt64Array.of(1n, 2n, 3n))],
    ]),
  );
  for (const name of ['half', 'brain', 'double', 'float'])
    expect([...floatData(tensorOf(converted.get(name) as never))], name).toEqual([1, -2, 0.5]);
  expect(converted.get('index')?.type).toBe(DataType.INT64);
});
