/** The operator of sine embeddings, by its body and by the kernels, and the pass that places it. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { QUANTIZED, SINE_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../../testing/difference.ts';
import { hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseSineEmbedding } from './fuse-sine-embedding.ts';
import { quantizeResults } from './quantize-results.ts';

const RANGE = [1 / 127, 127] as const;

/** Sine embeddings [batch, queries, 3, size] of positions [batch, queries, 3, 1] in separate operators, as floats and as bytes. */
function separate(wavelengths: readonly number[]): Model {
  const b = new GraphBuilder('separate');
  const position = b.input('position', DataType.FLOAT, ['batch', 'queries', 3, 1]);
  const angles = b.div(position, b.constant(Float32Array.from(wavelengths), [wavelengths.length]));
  const pairs = b.concat([b.unsqueeze(b.sin(angles), [4]), b.unsqueeze(b.cos(angles), [4])], 4);
  const y = b.reshape(pairs, [0, 0, 0, 2 * wavelengths.length]);
  const range = [
    b.initializer(makeTensor('scale', [], Float32Array.of(RANGE[0]))),
    b.initializer(makeTensor('zero', [], Uint8Array.of(RANGE[1]))),
  ];
  b.output('y', y);
  b.output('bytes', b.call('', 'QuantizeLinear', [y, ...range])[0] as Value); // operators with one result
  return b.finish();
}

function fused(model: Model): Model {
  const copy = copyModel(model);
  expect(fuseSineEmbedding(copy)).toBe(1);
  expect(quantizeResults(copy)).toBe(1);
  expect(copy.graph.node.map(({ opType }) => opType)).toContain(SINE_EMBEDDING + QUANTIZED);
  return copy;
}

async function run(model: Model, positions: Float32Array, options = {}) {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run({ position: floats(positions, [1, positions.length / 3, 3, 1]) });
  return { y: Float32Array.from(floatData(outputs.get('y'))), bytes: [...outputs.get('bytes').data].map(Number) };
}

/** Wavelengths as of a model, one number of which is no whole vector, and positions up to so much. */
const cases = [
  ['angles of a turn', Array.from({ length: 64 }, (_, at) => 10_000 ** (at / 64)), 2 * Math.PI],
  ['angles of thousands of turns', [1, 0.5, 3], 1e5],
  ['one wavelength', [7], 100],
] as const;

describe.each([['the body', {}], ...(hasKernels ? [['the kernels', withKernels] as const] : [])] as const)(
  'by %s',
  (_, options) => {
    test.each(cases)('%s: the sines and cosines of the exact angles', async (_name, wavelengths, most) => {
      const positions = noise(60, 1).map((value) => value * most);
      const { y, bytes } = await run(fused(separate(wavelengths)), positions, options);
      const size = 2 * wavelengths.length;
      const exact = y.map((_value, at) => {
        const column = at % size;
        const position = positions[Math.floor(at / size)] ?? 0;
        const angle = Math.fround(position / Math.fround(wavelengths[column >> 1] ?? 1));
        return column % 2 === 0 ? Math.sin(angle) : Math.cos(angle);
      });
      expect(largestDifference(y, exact)).toBeLessThan(3e-7);
      const roundings = y.map((value, at) => (bytes[at] ?? 0) - (value / RANGE[0] + RANGE[1]));
      expect(largestDifference(roundings, new Float32Array(y.length))).toBeLessThan(0.501);
    });
  },
);

test.runIf(hasKernels && process.arch === 'x64')('the kernels give the bits of the separate operators', async () => {
  const model = separate(cases[0][1]);
  const positions = noise(300, 2).map((value) => 7 * value);
  const [found, expected] = [await run(fused(model), positions, withKernels), await run(model, positions)];
  expect(haveSameBytes(found.y, expected.y)).toBe(true);
  expect(found.bytes).toEqual(expected.bytes);
});

test('sines and cosines in another order are left as they are', () => {
  const model = separate([1, 2]);
  for (const node of model.graph.node) if (node.opType === 'Concat') node.input.reverse();
  expect(fuseSineEmbedding(model)).toBe(0);
});
