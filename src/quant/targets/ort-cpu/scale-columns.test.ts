/** Weights that are scaled by columns in a step of their own are the same floats. */
import { expect, test } from 'vitest';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floats } from '../../../runtime/tensor.ts';
import { noise } from '../../../testing/noise.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import type { Additions } from '../../weights.ts';
import { scaleColumns } from './scale-columns.ts';

const [HEADS, ROWS, COLUMNS] = [2, 5, 7];
const INTEGERS = Int8Array.from({ length: HEADS * ROWS * COLUMNS }, (_, index) => ((index * 37) % 255) - 127);
const SCALES = noise(COLUMNS, 1).map((value) => 0.01 + Math.abs(value) / 3);

/** x · weight [2, 5, 7], and the nodes that make floats of the weight's integers, with scales along `axis`. */
function product(axis: number) {
  const b = new GraphBuilder('product');
  const x = b.input('x', DataType.FLOAT, [HEADS, undefined, ROWS]);
  const weight = makeTensor('weight', [HEADS, ROWS, COLUMNS], new Float32Array(INTEGERS.length));
  b.output('y', b.matmul(x, b.initializer(weight)));
  const model = b.finish();
  const channels = [HEADS, ROWS, COLUMNS][axis] ?? 0;
  const dequantize = makeNode('DequantizeLinear', 'w.DequantizeLinear', ['values', 'scale', 'zero'], ['weight'], {
    axis,
  });
  model.graph.initializer = [
    makeTensor('values', [HEADS, ROWS, COLUMNS], INTEGERS),
    makeTensor('scale', [channels], SCALES.slice(0, channels)),
    makeTensor('zero', [channels], new Int8Array(channels)),
  ];
  return { model, dequantize, entry: { weight, axis } as PlanEntry['weight'] };
}

/** The results of ONNX Runtime after `dequantize` was put before the product, and its nodes. */
async function run(axis: number, byColumns: boolean) {
  const { model, dequantize, entry } = product(axis);
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded: new Map() };
  const nodes = byColumns ? scaleColumns([dequantize], entry, added) : [dequantize];
  model.graph.initializer.push(...added.tensors);
  model.graph.node.unshift(...nodes);
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({ x: floats(noise(HEADS * 3 * ROWS, 2), [HEADS, 3, ROWS]) });
  return { operators: nodes.map(({ opType }) => opType), y: [...outputs.get('y').data] };
}

test('scales along the last axis become a factor, and the products are the same to the bit', async () => {
  const [plain, scaled] = [await run(2, false), await run(2, true)];
  expect(scaled.operators).toEqual(['DequantizeLinear', 'Mul']);
  expect(scaled.y).toEqual(plain.y);
});

test('scales along another axis stay as they are', async () => {
  expect((await run(1, true)).operators).toEqual(['DequantizeLinear']);
});
