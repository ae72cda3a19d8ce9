/** A model in float16 computes what the model computes, to the precision of 16 bits, and its islands are in float32. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../onnx/builder.ts';
import { indexGraph } from '../../onnx/graph-index.ts';
import { inferShapes } from '../../onnx/infer/infer.ts';
import { lowerModel } from '../../onnx/lower/lower.ts';
import type { Model } from '../../onnx/read.ts';
import { tensorElements } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { storeHalf } from './store-half.ts';

/** Two layers with an activation, a mask with a very large number, and a softmax. */
function network(): Model {
  const b = new GraphBuilder('network');
  const x = b.input('x', DataType.FLOAT, ['n', 8]);
  const weight = (name: string) => b.scope(name, () => b.constant(Float32Array.from(noise(64, name.length)), [8, 8]));
  const first = b.scope('first', () => b.relu(b.matmul(x, weight('a'))));
  const second = b.scope('second', () => b.matmul(first, weight('bb')));
  const masked = b.scope('mask', () => b.add(second, b.constant(Float32Array.of(0, 0, 0, 0, 0, 0, 0, -1e9), [8])));
  const moved = b.scope('moved', () => b.transpose(masked, [1, 0]));
  const result = b.scope('result', () => b.softmax(moved, 0));
  b.output('y', result, [8, 'n']);
  b.output('hidden', first, ['n', 8]);
  const model = b.finish();
  lowerModel(model, { opset: 19 });
  return model;
}

async function run(model: Model): Promise<Record<string, Float32Array>> {
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({ x: floats(Float32Array.from(noise(24, 7)), [3, 8]) });
  return { y: floatData(outputs.get('y')).slice(), hidden: floatData(outputs.get('hidden')).slice() };
}

/** The types of the results of nodes whose names contain a text. */
function typesOf(model: Model, part: string): DataType[] {
  const infos = inferShapes(model);
  const nodes = model.graph.node.filter(({ name, opType }) => name.includes(part) && opType !== 'Cast');
  expect(nodes.length).toBeGreaterThan(0);
  return nodes.flatMap(({ output }) => output.map((name) => infos.get(name)?.type ?? DataType.UNDEFINED));
}

describe('a model in float16', () => {
  test.each([
    ['without islands', []],
    ['with an island', ['second']],
  ])('is near the model, and differs: %s', async (_, single) => {
    const half = network();
    expect(await storeHalf(half, { single }, 'test')).toBeGreaterThan(2);
    const [expected, found] = [await run(network()), await run(half)];
    for (const name of ['y', 'hidden']) {
      expect(found[name]).not.toEqual(expected[name]);
      for (const [at, value] of (expected[name] ?? []).entries()) {
        const tolerance = 4e-3 * Math.max(1, Math.abs(value));
        expect(Math.abs((found[name]?.[at] ?? Number.NaN) - value)).toBeLessThan(tolerance);
      }
    }
  });

  test('has float16 in layers and what moves their numbers, and float32 in islands and by operator', async () => {
    const half = network();
    await storeHalf(half, { single: ['second'] }, 'test');
    expect(new Set(typesOf(half, 'first'))).toEqual(new Set([DataType.FLOAT16]));
    expect(new Set(typesOf(half, 'second'))).toEqual(new Set([DataType.FLOAT]));
    expect(new Set(typesOf(half, 'moved'))).toEqual(new Set([DataType.FLOAT16]));
    expect(new Set(typesOf(half, 'Softmax'))).toEqual(new Set([DataType.FLOAT]));
    const { initializer } = indexGraph(half.graph);
    const stored = [...initializer.values()].map(({ dataType }) => dataType);
    expect(stored).toContain(DataType.FLOAT16);
    expect(half.graph.output.map(({ name }) => name)).toEqual(['y', 'hidden']);
  });

  test('has no infinity where the model has a number beyond its range', async () => {
    const half = network();
    await storeHalf(half, { single: [] }, 'test');
    const masks = half.graph.initializer.filter(
      ({ dataType, dims }) => dataType === DataType.FLOAT16 && dims.length === 1,
    );
    const bits = masks.flatMap((tensor) => [...tensorElements(tensor)].map(Number));
    expect(bits).toContain(0xfbff); // -65504, the lowest float16
    expect(bits).not.toContain(0xfc00); // minus infinity
  });
});
