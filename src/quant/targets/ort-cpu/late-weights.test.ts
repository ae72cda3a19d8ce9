/** ONNX Runtime makes floats of a weight right before the node that reads it. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { floats } from '../../../runtime/tensor.ts';
import { computeWeightsLate } from './late-weights.ts';

const [LAYERS, SIZE] = [3, 4];

/** Layers one after another, each with a weight of int8 that becomes floats right before it in the file. */
function layers() {
  const b = new GraphBuilder('layers');
  const stored = makeTensor('stored', [SIZE, SIZE], new Int8Array(SIZE * SIZE).fill(1));
  const weight = b.initializer(stored);
  const x = b.input('x', DataType.FLOAT, [1, SIZE]);
  const layer = (value: Value, number: number) =>
    b.scope(`layer${number}`, () => {
      const dequantized = b.call('', 'DequantizeLinear', [weight, b.constant(Float32Array.of(number + 1), [])])[0];
      return b.relu(b.matmul(value, dequantized as Value)); // operators with one result
    });
  b.output('y', Array.from({ length: LAYERS }, (_, number) => number).reduce(layer, x));
  return b.finish();
}

/** The nodes of the model that read the weights' integers and their floats, in the order in which ONNX Runtime ran them. */
async function order(model: ReturnType<typeof layers>) {
  const nodes = await profileRun(modelBytes(model), {}, { x: floats(new Float32Array(SIZE), [1, SIZE]) });
  return nodes.map(({ operator }) => operator).filter((operator) => operator !== 'Relu');
}

test('the weight of a layer becomes floats after the layer before it was computed', async () => {
  const model = layers();
  const readOnce = Array.from({ length: LAYERS }, () => ['DequantizeLinear', 'MatMul']).flat();
  expect(await order(model)).not.toEqual(readOnce);
  computeWeightsLate(model);
  expect(await order(model)).toEqual(readOnce);
});
