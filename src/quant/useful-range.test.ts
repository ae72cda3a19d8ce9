/** Beyond the ends of a useful range ONNX Runtime computes the same as at the ends. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../onnx/builder.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats } from '../runtime/tensor.ts';
import { usefulRange } from './useful-range.ts';

/** x → t → the results that `use` makes of t. */
function reading(use: (b: GraphBuilder, t: Value) => readonly Value[]) {
  const b = new GraphBuilder('toy');
  const t = b.mul(b.input('x', DataType.FLOAT, ['n']), 1);
  for (const [index, value] of use(b, t).entries()) b.output(`y${index}`, value);
  const model = b.finish();
  const [node] = model.graph.node;
  return { model, range: usefulRange(node?.output[0] ?? '', indexGraph(model.graph)) };
}

const call = (operator: string) => (b: GraphBuilder, t: Value) => b.call('', operator, [t]);

test.each<[string, (b: GraphBuilder, t: Value) => readonly Value[], number, number]>([
  ['Relu', call('Relu'), 0, Number.POSITIVE_INFINITY],
  ['HardSwish', call('HardSwish'), -3, Number.POSITIVE_INFINITY],
  ['HardSigmoid', call('HardSigmoid'), -2.5, 2.5],
  ['Clip', (b, t) => [b.clip(t, -1, 2)], -1, 2],
  ['two users', (b, t) => [...b.call('', 'HardSwish', [t]), b.clip(t, -1, 2)], -3, Number.POSITIVE_INFINITY],
])('%s is constant beyond the ends', async (_, use, min, max) => {
  const { model, range } = reading(use);
  expect(range?.min).toBeCloseTo(min, 6);
  expect(range?.max).toBeCloseTo(max, 6);
  await using session = await Session.create(modelBytes(model));
  const at = async (values: number[]) => {
    using outputs = await session.run({ x: floats(Float32Array.from(values), [values.length]) });
    return [...session.outputs.keys()].map((name) => [...floatData(outputs.get(name))]);
  };
  const end = Number.isFinite(max) ? max : 7;
  const [inside, beyond] = [await at([min, end]), await at([min - 5, Number.isFinite(max) ? max + 5 : end])];
  for (const [which, values] of inside.entries())
    for (const [index, value] of values.entries()) expect(beyond[which]?.[index]).toBeCloseTo(value, 5);
});

test.each<[string, (b: GraphBuilder, t: Value) => readonly Value[]]>([
  ['an output of the model', (_, t) => [t]],
  ['a user that is not constant anywhere', (b, t) => [...b.call('', 'Relu', [t]), b.mul(t, 2)]],
  ['a product of the value and what is made of it', (b, t) => [b.mul(t, b.sigmoid(t))]],
])('%s leaves the range as it is', (_, use) => {
  expect(reading(use).range).toBeUndefined();
});
