/** Shape inference is compared with the shapes that ONNX Runtime computes: it is never wrong, and it knows the rank of each value that dino8 builds. */
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { readHuggingFace } from '../../models/grounding-dino/checkpoint/hugging-face.ts';
import { buildModel } from '../../models/grounding-dino/grounding-dino.ts';
import { Session } from '../../runtime/session.ts';
import { booleans, floats, integers, type Tensor } from '../../runtime/tensor.ts';
import { GraphBuilder, type Value } from '../builder.ts';
import { copyModel } from '../copy.ts';
import { extractModel } from '../extract.ts';
import type { Model } from '../read.ts';
import { DataType, type Shape } from '../types.ts';
import { makeValueInfo, valueInfoToTensorInfo } from '../value-info.ts';
import { modelBytes } from '../write.ts';
import { inferShapes } from './infer.ts';

/** Checks that the ranks and numbers are equal, and that each symbol always stands for the same size. */
function agree(name: string, inferred: Shape, actual: readonly number[], symbols: Map<string, number>): void {
  expect(inferred.length, name).toBe(actual.length);
  for (const [axis, dimension] of inferred.entries()) {
    const size = actual[axis] ?? -1;
    if (typeof dimension === 'number') expect(dimension, `${name} axis ${axis}`).toBe(size);
    if (typeof dimension !== 'string') continue;
    expect(symbols.get(dimension) ?? size, `${name}: ${dimension}`).toBe(size);
    symbols.set(dimension, size);
  }
}

/** Runs a model with every inferred value as an output, and compares types and shapes; symbols must be consistent. */
async function compareWithRuntime(model: Model, feeds: Record<string, Tensor>): Promise<number> {
  const infos = inferShapes(model);
  const observed = copyModel(model);
  const declared = new Set(observed.graph.output.map((output) => output.name));
  const names = model.graph.node.flatMap((node) => node.output).filter((name) => infos.get(name)?.shape);
  for (const name of names)
    if (!declared.has(name)) observed.graph.output.push(makeValueInfo(name, infos.get(name)?.type ?? 0, undefined));
  await using session = await Session.create(modelBytes(observed), { optimization: 'none' });
  using outputs = await session.run(feeds);
  const symbols = new Map<string, number>();
  for (const [name, tensor] of Object.entries(feeds)) agree(name, infos.get(name)?.shape ?? [], tensor.shape, symbols);
  for (const name of names) {
    const actual = outputs.get(name);
    const info = infos.get(name);
    expect(info?.type, name).toBe(actual.type);
    agree(name, info?.shape ?? [], actual.shape, symbols);
  }
  return names.length / model.graph.node.flatMap((node) => node.output).length;
}

test('inferred types, ranks and sizes of the bundled model agree with ONNX Runtime', async () => {
  const model = await buildModel(await readHuggingFace(join(packageRoot, 'assets/nano')));
  const tokens = [101, 206, 214, 1012, 208, 215, 1012, 102];
  const share = await compareWithRuntime(model, {
    pixel_values: floats(new Float32Array(2 * 3 * 70 * 93), [2, 3, 70, 93]),
    pixel_mask: integers(new BigInt64Array(2 * 70 * 93).fill(1n), [2, 70, 93]),
    input_ids: integers([...tokens, ...tokens], [2, tokens.length]),
    token_type_ids: integers(new Array(16).fill(0), [2, tokens.length]),
    attention_mask: integers(new Array(16).fill(1), [2, tokens.length]),
  });
  expect(share).toBe(1); // the rank of each value that dino8 builds is known
});

test('the number of channels of what each layer of the bundled model reads is known without a run', async () => {
  const { graph, ...rest } = await buildModel(await readHuggingFace(join(packageRoot, 'assets/nano')));
  const infos = inferShapes({ graph, ...rest });
  const stored = new Map(graph.initializer.map(({ name, dims }) => [name, dims.map(Number)]));
  const layers = graph.node.filter(
    ({ opType, input }) => opType === 'MatMul' && stored.get(input[1] ?? '')?.length === 2,
  );
  expect(layers.length).toBeGreaterThan(100);
  const unknown = layers.filter(({ input: [x = '', w = ''] }) => infos.get(x)?.shape?.at(-1) !== stored.get(w)?.[0]);
  expect(unknown.map(({ name }) => name)).toEqual([]);
});

type Step = (b: GraphBuilder, x: Value) => Value;

/** Operators on a float tensor of any shape [a, b, 4], each of which keeps the rank and the last dimension. */
const steps: Record<string, Step> = {
  transpose: (b, x) => b.transpose(b.transpose(x, [1, 0, 2]), [1, 0, 2]),
  softmax: (b, x) => b.softmax(x),
  reduceKeep: (b, x) => b.add(x, b.reduceMax(x, [1])),
  reduceDrop: (b, x) => b.add(x, b.unsqueeze(b.reduceSum(x, [0], false), [0])),
  slice: (b, x) => b.slice(x, [0], [3], [0]),
  sliceBack: (b, x) => b.slice(x, [-1], [2 ** 31 - 1], [1]),
  concat: (b, x) => b.concat([x, x], 1),
  reshape: (b, x) => b.reshape(b.reshape(x, [0, -1]), [b.shapeOf(x)]),
  flatten: (b, x) => b.unsqueeze(b.reshape(x, [-1, 4]), [0]),
  gather: (b, x) => b.gather(x, b.integers(0, -1, 0), 1),
  matmul: (b, x) => b.matmul(x, b.constant(new Float32Array(16), [4, 4])),
  expand: (b, x) => b.expand(b.slice(x, [0], [1], [0]), [5, 1, 1]),
  pad: (b, x) => b.padEnd(x, b.integers(2), [1]),
  padByShape: (b, x) => b.padEnd(x, b.mod(b.sub(b.integers(0), b.dimension(x, 1)), b.integers(7)), [1]),
  split: (b, x) => b.split(x, b.integers(1, 3), 2, 2)[0] ?? x,
  restore: (b, x) => b.expand(x, [1, 1, 4]),
  where: (b, x) => b.where(b.greater(x, 0), x, 1),
  cumsum: (b, x) => b.cumsum(x, 1),
  topk: (b, x) => b.topk(x, b.integers(1), 1).values,
  range: (b, x) =>
    b.add(
      x,
      b.cast(
        b.reshape(b.range(b.integer(0), b.squeeze(b.dimension(x, 1), [0]), b.integer(1)), [1, -1, 1]),
        DataType.FLOAT,
      ),
    ),
};

test('inferred shapes of random chains of operators agree with ONNX Runtime', async () => {
  const names = fc.array(fc.constantFrom(...Object.keys(steps)), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(
      names,
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 5 }),
      async (chain, rows, columns) => {
        const b = new GraphBuilder('chain');
        let x = b.input('x', DataType.FLOAT, ['rows', 'columns', 4]);
        for (const step of chain) {
          if (step !== 'restore' && x.shape?.[2] !== 4) x = b.expand(b.slice(x, [0], [1], [2]), [1, 1, 4]);
          x = steps[step]?.(b, x) ?? x;
        }
        b.output('y', x);
        await compareWithRuntime(b.finish(), { x: floats(new Float32Array(rows * columns * 4), [rows, columns, 4]) });
      },
    ),
    { numRuns: 150 },
  );
});

test('nothing is inferred about results of operators without a rule, or about values computed from them', () => {
  const b = new GraphBuilder('unknown');
  const x = b.input('x', DataType.FLOAT, ['n']);
  const [y] = b.call('com.example', 'Strange', [x]);
  const z = b.add(y ?? x, 1);
  b.output('z', z);
  const infos = inferShapes(b.finish());
  expect(infos.get(y?.name ?? '')).toBeUndefined();
  expect(infos.get(z.name)?.shape).toBeUndefined();
});

test('extracting a part that needs more than its inputs is an error', () => {
  const b = new GraphBuilder('sum');
  const sum = b.add(b.input('a', DataType.FLOAT, [1]), b.input('b', DataType.FLOAT, [1]));
  b.output('y', sum);
  expect(() => extractModel(b.finish(), ['a'], ['y'])).toThrow(/also depend on b/);
  expect(() => extractModel(b.finish(), ['a'], ['none'])).toThrow(/has no value none/);
});

test('boolean tensors have the type of booleans', () => {
  expect(booleans(new Uint8Array(1), [1]).type).toBe(DataType.BOOL);
});

test('a dimension of −1 is one that an exporter did not know', () => {
  const info = makeValueInfo('x', DataType.FLOAT, [-1, 4]);
  expect(valueInfoToTensorInfo(info)?.shape).toEqual([undefined, 4]);
});
