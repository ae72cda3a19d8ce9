/** The generic family is tested on toy models, with ONNX Runtime as the oracle. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, AttributeProto_AttributeType as AttributeType, GraphProtoSchema } from 'onnx-buf';
import { afterAll, describe, expect, test } from 'vitest';
import { UsageError } from '../../base/errors.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { modelBytes, writeModel } from '../../onnx/write.ts';
import { compare } from '../../pipeline/compare-step.ts';
import { quantize } from '../../pipeline/quantize-step.ts';
import { sensitivity } from '../../pipeline/sensitivity-step.ts';
import { listedSamples } from '../../quant/observe/sample.ts';
import { Session } from '../../runtime/session.ts';
import { booleans, floatData, floats, type Tensor } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { loadModel } from '../package/package.ts';
import { generic, openGeneric } from './family.ts';

const folder = mkdtempSync(join(tmpdir(), 'generic-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** conv → tanh → mean over the picture → linear layer → softmax, with a Celu, which is never quantized. */
function classifier(): Model {
  const b = new GraphBuilder('classifier');
  const x = b.input('x', DataType.FLOAT, ['batch', 3, 'height', 'width']);
  const weight = (name: string, shape: number[], seed: number) =>
    b.initializer(
      makeTensor(
        name,
        shape,
        noise(
          shape.reduce((product, size) => product * size, 1),
          seed,
        ),
      ),
    );
  const features = b.scope('features', () => b.conv(x, weight('w', [8, 3, 3, 3], 1), weight('b', [8], 2), 3, 1, 1));
  const [active] = b.scope('activation', () => b.call('', 'Celu', [features]));
  if (!active) throw new Error('Celu has one result');
  const pooled = b.reduceMean(active, [2, 3], false);
  const scores = b.scope('head', () => b.matmul(pooled, weight('v', [8, 5], 3)));
  b.output('scores', b.softmax(scores));
  return b.finish();
}

const samples = listedSamples(
  Array.from({ length: 6 }, (_, place) => ({
    place,
    source: `sample ${place}`,
    feeds: { x: floats(noise(2 * 3 * 6 * 6, 20 + place), [2, 3, 6, 6]) },
  })),
);

async function run(model: Model | string, feeds: Readonly<Record<string, Tensor>>, output: string): Promise<number[]> {
  await using session = await Session.create(typeof model === 'string' ? model : modelBytes(model));
  using outputs = await session.run(feeds);
  return [...floatData(outputs.get(output))];
}

describe('blank inputs', () => {
  test('take sizes that the model does not state from the caller', async () => {
    const loaded = await openGeneric('toy', classifier());
    const feeds = generic.blankFeeds(loaded, { shapes: new Map([['x', [1, 3, 4, 4]]]) });
    expect(feeds.x?.shape).toEqual([1, 3, 4, 4]);
    expect(() => generic.blankFeeds(loaded)).toThrow(UsageError);
    expect(() => generic.blankFeeds(loaded, { shapes: new Map([['y', [1]]]) })).toThrow('no input y');
    expect(() => generic.blankFeeds(loaded, { tokens: 3 })).toThrow('no prompt');
  });
});

test('outputs are compared by relative error, signal to noise, and equal decisions', () => {
  const outputsOf = (data: number[]) => ({
    names: ['scores'],
    get: () => floats(Float32Array.from(data), [2, 2]),
  });
  const { figures } = generic.compareOutputs(outputsOf([3, 0, 0, 4]), outputsOf([3, 0, 4, 3.5]));
  // ‖(0, 0, −4, 0.5)‖ / ‖(3, 0, 0, 4)‖ = √16.25 / 5
  expect(figures.relativeError).toBeCloseTo(Math.sqrt(16.25) / 5, 6);
  expect(figures.decibels).toBeCloseTo(10 * Math.log10(25 / 16.25), 4);
  expect(figures.agreement).toBe(0.5);
});

test('a model with a subgraph and nodes without names is prepared, and computes the same', async () => {
  const branch = (value: number) => {
    const graph = create(GraphProtoSchema, { name: `branch${value}` });
    graph.node.push(
      makeNode('Constant', '', [], ['k'], { value: makeTensor('', [1], Float32Array.of(value)) }),
      makeNode('Mul', '', ['u', 'k'], ['r']),
    );
    graph.output.push(makeValueInfo('r', DataType.FLOAT, undefined));
    return graph;
  };
  const node = makeNode('If', 'choice', ['flag'], ['y']);
  for (const [name, value] of [
    ['then_branch', 2],
    ['else_branch', 3],
  ] as const)
    node.attribute.push(create(AttributeProtoSchema, { name, type: AttributeType.GRAPH, g: branch(value) }));
  const b = new GraphBuilder('toy');
  b.input('x', DataType.FLOAT, [4]);
  b.input('flag', DataType.BOOL, []);
  const model = b.finish();
  model.graph.node.push(makeNode('Neg', 'same', ['x'], ['t']), makeNode('Exp', '', ['t'], ['u']), node);
  model.graph.output.push(makeValueInfo('y', DataType.FLOAT, undefined));
  const original = copyModel(model);
  const { model: prepared } = await openGeneric('toy', model);
  expect(new Set(prepared.graph.node.map(({ name }) => name)).size).toBe(prepared.graph.node.length);
  for (const flag of [0, 1]) {
    const feeds = { x: floats(noise(4, 1), [4]), flag: booleans(Uint8Array.of(flag), []) };
    expect(await run(prepared, feeds, 'y')).toEqual(await run(original, feeds, 'y'));
  }
});

describe('steps on a model that dino8 does not know', () => {
  test('quantize leaves unknown operators in float, lists them, and writes a file that is close to the float model', async () => {
    const path = join(folder, 'float.onnx');
    await writeModel(classifier(), path);
    const output = join(folder, 'int8.onnx');
    const result = await quantize({ model: path, calibration: samples, output });
    expect(result.recipe).toBe('generic');
    expect(result.layers.static).toBe(2);
    expect(result.floatOperators).toMatchObject({ Celu: 1, Softmax: 1, ReduceMean: 1 });
    const operators = (await readModel(output)).graph.node.map(({ opType }) => opType);
    expect(operators).toContain('Celu');
    const { figures, layers } = await compare({ model: path, quantized: output, dataset: samples });
    expect(figures.relativeError).toBeLessThan(0.05);
    expect(layers.map((layer) => layer.path)).toEqual(['features', 'head']);
    const feeds = { x: floats(noise(3 * 5 * 7, 50), [1, 3, 5, 7]) };
    const [float, integer] = [await run(path, feeds, 'scores'), await run(output, feeds, 'scores')];
    for (const [index, value] of integer.entries()) expect(value).toBeCloseTo(float[index] ?? Number.NaN, 1);
  });

  test('sensitivity judges parts by the outputs alone', async () => {
    const loaded = await openGeneric('toy', classifier());
    const { float, parts } = await sensitivity({ model: loaded, dataset: samples, calibration: samples, by: 'layer' });
    expect(float).toBeUndefined();
    expect(parts.map(({ name }) => name).toSorted()).toEqual(['features', 'head']);
    expect(parts.every(({ averagePrecision }) => averagePrecision === undefined)).toBe(true);
  });

  test('an INT8 file that dino8 wrote is read as it is', async () => {
    const { model } = await loadModel(join(folder, 'int8.onnx'));
    const written = await readModel(join(folder, 'int8.onnx'));
    expect(model.graph.node.map(({ opType }) => opType)).toEqual(written.graph.node.map(({ opType }) => opType));
  });

  test('a model without companions is not written as a folder', async () => {
    const quantizing = quantize({
      model: await openGeneric('toy', classifier()),
      calibration: samples,
      output: join(folder, 'folder'),
    });
    await expect(quantizing).rejects.toThrow('must end in .onnx');
  });
});
