/** What tools for ONNX files expect of ours: names of nodes that stay unique when functions are inlined. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { readPackage } from '../models/package/package.ts';
import type { Model } from '../onnx/read.ts';
import { quantizeModel } from './quantize.ts';
import { readRecipe } from './recipe.ts';

/** Inlining adds a suffix or a prefix to the names in a body, which must be unique themselves, and not empty. */
function expectNames({ graph, functions }: Model): void {
  for (const nodes of [graph.node, ...functions.map(({ node }) => node)]) {
    const names = nodes.map(({ name }) => name);
    expect(names).not.toContain('');
    expect(new Set(names).size).toBe(names.length);
  }
}

test('names of nodes are unique in graphs and in bodies of functions, before and after quantization', async () => {
  const { model } = await readPackage(join(packageRoot, 'assets/nano'));
  expectNames(model);
  expectNames((await quantizeModel(model, await readRecipe('dynamic'))).model);
});

test('no two sums read one value', async () => {
  // onnxruntime.transformers.float16 leaves CumSum in float32. It names the nodes that it puts before one after its input.
  const { model } = await readPackage(join(packageRoot, 'assets/nano'));
  const inputs = model.graph.node.flatMap(({ opType, input }) => (opType === 'CumSum' ? [input[0]] : []));
  expect(inputs.length).toBeGreaterThan(0);
  expect(new Set(inputs).size).toBe(inputs.length);
});
