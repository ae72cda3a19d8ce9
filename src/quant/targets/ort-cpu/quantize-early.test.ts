/** QuantizeLinear in front of a Where gives the bytes of a QuantizeLinear behind it. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { indexGraph } from '../../../onnx/graph-index.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floats } from '../../../runtime/tensor.ts';
import { noise } from '../../../testing/noise.ts';
import { quantizeEarly } from './quantize-early.ts';

const [ROWS, COLUMNS] = [5, 7];

/** Rows whose mask is above 0, the others 0, quantized by scale 1/16 and zero point 120. */
function maskedRows() {
  const b = new GraphBuilder('masked-rows');
  const x = b.input('x', DataType.FLOAT, [ROWS, COLUMNS]);
  const mask = b.input('mask', DataType.FLOAT, [ROWS, 1]);
  const scale = b.initializer(makeTensor('scale', [], Float32Array.of(2 ** -4)));
  const zero = b.initializer(makeTensor('zero', [], Uint8Array.of(120)));
  const [bytes] = b.call('', 'QuantizeLinear', [b.where(b.greater(mask, 0), x, 0), scale, zero]);
  b.output('bytes', bytes as Value); // operators with one result
  return b.finish();
}

async function run(model: ReturnType<typeof maskedRows>): Promise<number[]> {
  await using session = await Session.create(modelBytes(model));
  const feeds = {
    x: floats(noise(ROWS * COLUMNS, 1), [ROWS, COLUMNS]),
    mask: floats(Float32Array.of(1, 0, 1, 0, 1), [ROWS, 1]),
  };
  using outputs = await session.run(feeds);
  return [...outputs.get('bytes').data].map(Number);
}

/** The operators that make the inputs of the Where. */
function selectedFrom({ graph }: ReturnType<typeof maskedRows>): (string | undefined)[] {
  const { producer } = indexGraph(graph);
  const selection = graph.node.find(({ opType }) => opType === 'Where');
  return (selection?.input ?? []).map((name) => producer.get(name)?.opType);
}

test('Where selects bytes, not floats that are quantized behind it, and they are the same', async () => {
  const model = maskedRows();
  const expected = await run(model);
  quantizeEarly(model);
  expect(selectedFrom(model)).toEqual(['Greater', 'QuantizeLinear', 'QuantizeLinear']);
  expect(await run(model)).toEqual(expected);
});
