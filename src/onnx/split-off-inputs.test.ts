/** The first part has what depends on some inputs alone, and passes nothing that is only repeated or widened. */
import { expect, test } from 'vitest';
import { Session } from '../runtime/session.ts';
import { floats } from '../runtime/tensor.ts';
import { GraphBuilder } from './builder.ts';
import { splitOffInputs } from './split-off-inputs.ts';
import { makeTensor } from './tensor.ts';
import { DataType } from './types.ts';
import { valueInfoToTensorInfo } from './value-info.ts';
import { modelBytes } from './write.ts';

const operators = (nodes: readonly { opType: string }[]) => nodes.map(({ opType }) => opType);

test('values that depend on the input alone are passed with their types and shapes, and weights go where they are read', async () => {
  const b = new GraphBuilder('parts');
  const x = b.input('x', DataType.FLOAT, ['n', 2]);
  const z = b.input('z', DataType.FLOAT, ['m', 2]);
  const early = b.initializer(makeTensor('early', [2, 2], Float32Array.of(1, 2, 3, 4)));
  const late = b.initializer(makeTensor('late', [2, 2], Float32Array.of(5, 6, 7, 8)));
  const ofX = b.matmul(b.sigmoid(x), early);
  b.output('y', b.matmul(b.concat([ofX, z], 0), late));
  b.output('own', b.relu(ofX));
  const model = b.finish();
  const parts = splitOffInputs(model, ['x']);
  if (!parts) throw new Error('there is a part of x alone');
  const { first, second, passed } = parts;
  expect(operators(first.graph.node)).toEqual(['Sigmoid', 'MatMul', 'Relu']);
  expect(first.graph.input.map(({ name }) => name)).toEqual(['x']);
  expect(second.graph.input.map(({ name }) => name)).toEqual(['z', ...passed]);
  expect(first.graph.initializer.map(({ name }) => name)).toEqual(['early']);
  expect(second.graph.initializer.map(({ name }) => name)).toEqual(['late']);
  for (const infos of [first.graph.output, second.graph.input.slice(1)])
    expect(infos.map(valueInfoToTensorInfo)).toEqual(new Array(2).fill({ type: DataType.FLOAT, shape: ['n', 2] }));

  const feeds = { x: floats(Float32Array.of(1, -2), [1, 2]), z: floats(Float32Array.of(0.5, 3), [1, 2]) };
  await using whole = await Session.create(modelBytes(model));
  await using one = await Session.create(modelBytes(first));
  await using two = await Session.create(modelBytes(second));
  using expected = await whole.run(feeds);
  using values = await one.run({ x: feeds.x });
  using found = await two.run({ z: feeds.z }, { from: values });
  for (const name of ['y', 'own']) expect(found.get(name).data).toEqual(expected.get(name).data);
});

test('what only repeats or widens numbers is left to the second part, unless the first reads it too', () => {
  const b = new GraphBuilder('wide');
  const x = b.input('x', DataType.INT64, ['n']);
  const z = b.input('z', DataType.FLOAT, ['n', 3]);
  const table = b.initializer(makeTensor('table', [4, 3], new Float32Array(12)));
  const places = b.add(x, b.integer(1));
  const rows = b.gather(table, places, 0);
  const squared = b.gather(table, b.mul(x, x), 0);
  b.output('y', b.add(z, b.reshape(rows, [-1, 3])));
  b.output('sum', b.add(z, b.add(squared, b.sigmoid(squared))));
  const parts = splitOffInputs(b.finish(), ['x']);
  expect(operators(parts?.first.graph.node ?? [])).toEqual(['Add', 'Mul', 'Gather', 'Sigmoid', 'Add']);
  expect(operators(parts?.second.graph.node ?? [])).toEqual([
    'Gather',
    'Reshape',
    'Add',
    'Identity',
    'Add',
    'Identity',
  ]);
});

test('a model without the input, or without nodes of it alone, is not divided', () => {
  const b = new GraphBuilder('whole');
  const x = b.input('x', DataType.FLOAT, ['n']);
  const z = b.input('z', DataType.FLOAT, ['n']);
  b.output('y', b.add(x, z));
  b.output('own', b.sub(x, z));
  const model = b.finish();
  for (const inputs of [['x'], ['mask'], []]) expect(splitOffInputs(model, inputs)).toBeUndefined();
});
