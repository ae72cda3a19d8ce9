/** The engine keeps what depends on sizes and steady inputs alone. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { detectionOf } from '../../models/family.ts';
import { readPackage } from '../../models/package/package.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { splitOffInputs } from '../../onnx/split-off-inputs.ts';
import { DataType } from '../../onnx/types.ts';
import { keptNodes, SIZE_INPUTS } from './kept-nodes.ts';

const operators = (nodes: Iterable<{ opType: string }>) => [...nodes].map(({ opType }) => opType).sort();

/** y depends on the sizes of x, on the numbers of `mask`, and on those of x. */
function masked(): GraphBuilder {
  const b = new GraphBuilder('masked');
  const x = b.input('x', DataType.FLOAT, ['n']);
  const mask = b.input('mask', DataType.FLOAT, ['n']);
  const length = b.sqrt(b.cast(b.shapeOf(x), DataType.FLOAT));
  b.output('y', b.add(b.relu(x), b.mul(b.sigmoid(mask), length)));
  return b;
}

test('nodes of sizes are kept, and those of steady inputs', () => {
  const { graph } = masked().finish();
  expect(operators(keptNodes(graph, []))).toEqual(['Cast', 'Shape', 'Sqrt']);
  expect(operators(keptNodes(graph, ['no input']))).toEqual(['Cast', 'Shape', 'Sqrt']);
  expect(operators(keptNodes(graph, ['mask']))).toEqual(['Cast', 'Mul', 'Shape', 'Sigmoid', 'Sqrt']);
});

test('none is kept where the size of a value depends on numbers that change', () => {
  const b = masked();
  const count = b.input('count', DataType.INT64, [1]);
  b.output('counted', b.expand(b.integers(1), [count]));
  const { graph } = b.finish();
  expect(keptNodes(graph, ['mask']).size).toBe(0);
  expect(keptNodes(graph, ['mask', 'count']).size).toBeGreaterThan(5);
});

test('of a detector all nodes are kept that a detector in Node.js computes once for a mask', async () => {
  const source = await readPackage(join(packageRoot, 'assets/nano'));
  const steps = detectionOf(source);
  const half = steps.extractHalf(source.model, 'detect');
  const parts = splitOffInputs(half, steps.steadyInputs);
  const kept = new Set([...keptNodes(half.graph, steps.steadyInputs)].flatMap(({ output }) => output));
  const once = parts?.first.graph.node.flatMap(({ output }) => output) ?? [];
  expect(once.length).toBeGreaterThan(20);
  expect(once.filter((name) => !kept.has(name))).toEqual([]);
  expect(kept.size).toBeLessThan(half.graph.node.length / 2);
});

/** The standard operators of the engine whose results have sizes that depend on the sizes of their inputs, and on attributes, alone. */
const BY_SIZES =
  'Abs Add And ArgMax Cast Ceil Clip Concat Conv Cos CumSum DequantizeLinear Div DynamicQuantizeLinear Equal Erf Exp Flatten Floor ' +
  'Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual GridSample Identity InstanceNormalization LayerNormalization Less ' +
  'LessOrEqual Log MatMul MatMulInteger Max Min Mod Mul Neg Not Or Pow QuantizeLinear Reciprocal Relu Round Shape Sigmoid Sin Size ' +
  'Softmax Sqrt Sub Tanh Transpose Where';

test('of every operator of the engine it is known whether its numbers decide on sizes', async () => {
  const folder = join(packageRoot, 'kernels/engine/standard');
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cpp'));
  const sources = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const entries = sources.flatMap((source) => [...source.matchAll(/\{"", "(\w+)"/g)].map(([, type = '']) => type));
  expect([...new Set(entries)].sort()).toEqual([...BY_SIZES.split(' '), ...Object.keys(SIZE_INPUTS)].sort());
});
