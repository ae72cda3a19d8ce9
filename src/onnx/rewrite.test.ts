import fc from 'fast-check';
import { expect, test } from 'vitest';
import { GraphBuilder } from './builder.ts';
import { makeNode, modulePath, removeUnused, replaceUses, sortTopologically } from './rewrite.ts';
import { DataType } from './types.ts';

function chain(length: number) {
  const b = new GraphBuilder('chain');
  let x = b.input('x', DataType.FLOAT, [1]);
  for (let index = 0; index < length; index++) x = b.add(x, b.relu(x));
  b.output('y', x);
  return b.finish();
}

test('sorting turns any order of nodes into one that can run', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 12 }),
      fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
      (length, random) => {
        const { graph } = chain(length);
        const keys = new Map(graph.node.map((node) => [node, random.next().value as number]));
        graph.node.sort((a, b) => (keys.get(a) ?? 0) - (keys.get(b) ?? 0));
        sortTopologically(graph);
        const known = new Set(['x', ...graph.initializer.map((tensor) => tensor.name)]);
        return graph.node.every((node) => {
          const ready = node.input.every((name) => known.has(name));
          for (const name of node.output) known.add(name);
          return ready;
        });
      },
    ),
  );
});

test('a cycle is refused', () => {
  const { graph } = chain(1);
  graph.node.push(makeNode('Add', 'a', ['q', 'p'], ['p']), makeNode('Relu', 'b', ['p'], ['q']));
  expect(() => sortTopologically(graph)).toThrow(/cycle/);
});

test('only unused nodes, initializers and functions are removed', () => {
  const model = chain(3);
  const before = model.graph.node.length;
  model.graph.node.push(makeNode('Relu', 'idle', ['x'], ['idle']));
  expect(removeUnused(model)).toBe(1);
  expect(model.graph.node.length).toBe(before);
});

test('uses are replaced except in excluded nodes', () => {
  const { graph } = chain(2);
  const keep = graph.node[0];
  replaceUses(graph, 'x', 'z', new Set(keep ? [keep] : []));
  expect(keep?.input).toContain('x');
  expect(graph.node.slice(1).some((node) => node.input.includes('x'))).toBe(false);
});

test('the module path of a node is its name up to the last slash', () => {
  expect(modulePath(makeNode('MatMul', 'model.encoder.layers.0.fc1/MatMul_2', [], []))).toBe(
    'model.encoder.layers.0.fc1',
  );
});
