/** Weights of 4 bits are in a page as weights of 8 bits with the same values, because runtimes for pages have no type of 4 bits. */
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../onnx/builder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { unpackWeights } from './unpack-weights.ts';

test('weights of 4 bits are unpacked to their values', async () => {
  const b = new GraphBuilder('weights');
  // Two numbers a byte, the first one in its lower half; the last byte of an odd count has one.
  const packed = makeTensor('packed', [5], Uint8Array.of(0x81, 0x7f, 0x0a), DataType.INT4);
  b.output('weights', b.cast(b.input('packed', DataType.INT4, [5]), DataType.INT8));
  const model = b.finish();
  model.graph.input = [];
  model.graph.initializer.push(packed);
  const unpacked = copyModel(model);
  await unpackWeights(unpacked);
  expect(unpacked.graph.node.map(({ opType }) => opType)).not.toContain('Cast');
  expect(unpacked.graph.initializer.map(({ dataType }) => dataType)).toEqual([DataType.INT8]);
  for (const each of [model, unpacked]) {
    await using session = await Session.create(modelBytes(each));
    using results = await session.run({});
    expect([...(results.get('weights').data as Int8Array)]).toEqual([1, -8, -1, 7, -6]);
  }
});
