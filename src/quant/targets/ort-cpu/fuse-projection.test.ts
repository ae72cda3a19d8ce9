/** The end of a transformer's layer as one operator. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { PROJECTION_FEED_FORWARD, QUANTIZED } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floats } from '../../../runtime/tensor.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseProjections } from './fuse-projection.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';
import { quantizeResults } from './quantize-results.ts';

interface Layer {
  readonly depth: number;
  readonly columns: number;
  readonly hidden: number;
  /** Whether the rows between the projection and the feed-forward layers are an output. */
  readonly isMiddleRead?: boolean;
  readonly epsilon?: number;
}

const LAYER: Layer = { depth: 60, columns: 20, hidden: 68 };

/** x → projection, residual sum and normalization → two layers, residual sum and normalization. Scales are powers of two. */
function layer({ depth, columns, hidden, isMiddleRead, epsilon = 1e-4 }: Layer): Model {
  const b = new GraphBuilder('layer');
  b.define(integerProductFunction());
  const number = (name: string, data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, [], data));
  const vector = (name: string, size: number, seed: number) =>
    b.initializer(
      makeTensor(
        name,
        [size],
        noise(size, seed).map((x) => x + 0.5),
      ),
    );
  const linear = (name: string, value: Value, [rows, width]: readonly [number, number], scale: number) => {
    const range = [
      number(`${name}.scale`, Float32Array.of(scale)),
      number(`${name}.zero`, Uint8Array.of(117)),
    ] as const;
    const numbers = Int8Array.from(noise(rows * width, rows), (x) => Math.round(x * 127));
    const weight = b.initializer(makeTensor(`${name}.weight`, [rows, width], numbers));
    const [bytes] = b.call('', 'QuantizeLinear', [value, ...range]) as [Value];
    const [weightScale, weightZero] = [
      number(`${name}.weight_scale`, Float32Array.of(2 ** -9)),
      number(`${name}.weight_zero`, new Int8Array(1)),
    ];
    const inputs = [bytes, weight, range[0], weightScale, range[1], weightZero, vector(`${name}.bias`, width, 5)];
    return b.call(CONTRIB, INTEGER_PRODUCT, inputs)[0] as Value; // one result
  };
  const norm = (name: string, value: Value, epsilon: number) =>
    b.layerNormalization(value, vector(`${name}.norm`, columns, 3), vector(`${name}.norm_bias`, columns, 4), epsilon);
  const x = b.input('x', DataType.FLOAT, ['batch', 'rows', depth]);
  const residual = b.input('residual', DataType.FLOAT, ['batches', 'others', columns]);
  const projected = linear('projection', x, [depth, columns], 2 ** -5);
  const middle = norm('first', b.add(residual, projected), 1e-4);
  const wide = linear('wide', middle, [columns, hidden], 2 ** -5);
  const narrow = linear('narrow', wide, [hidden, columns], 2 ** -6);
  const y = norm('second', b.add(middle, narrow), epsilon);
  const range = [number('y.scale', Float32Array.of(2 ** -5)), number('y.zero', Uint8Array.of(100))] as const;
  const [bytes] = b.call('', 'QuantizeLinear', [y, ...range]) as [Value];
  b.output('bytes', b.reshape(bytes, [-1]));
  b.output('y', b.reshape(y, [-1]));
  if (isMiddleRead) b.output('middle', b.reshape(middle, [-1]));
  return b.finish();
}

/** The layer as two operators, or as one. */
async function fused(model: Model, wanted: 1 | 2): Promise<Model> {
  const copy = copyModel(model);
  expect(fuseLinearBlocks(copy)).toBe(2);
  await foldConstants(copy);
  if (wanted === 1) expect(fuseProjections(copy)).toBe(1);
  expect(quantizeResults(copy)).toBe(1);
  if (wanted === 1)
    expect(copy.graph.node.map(({ opType }) => opType)).toContain(`${PROJECTION_FEED_FORWARD}${QUANTIZED}`);
  return copy;
}

function feedsOf(
  { depth, columns }: Layer,
  shape: readonly [number, number],
  residual: readonly number[] = shape,
): Feeds {
  const count = residual.reduce((product, size) => product * size, columns);
  return {
    x: floats(
      noise(shape[0] * shape[1] * depth, 1).map((x) => 3 * x),
      [...shape, depth],
    ),
    residual: floats(noise(count, 2), [...residual, columns]),
  };
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Record<string, number[]>> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return Object.fromEntries(outputs.names.map((name) => [name, [...outputs.get(name).data].map(Number)]));
}

describe('the end of a layer as one operator', () => {
  test('has a body that computes the same to the bit', async () => {
    const model = layer(LAYER);
    const feeds = feedsOf(LAYER, [2, 5]);
    expect(await run(await fused(model, 1), feeds)).toEqual(await run(model, feeds));
  });

  test.runIf(hasKernels).for(KERNEL_PATHS.filter(hasKernelPath))(
    'has a kernel that computes what the two operators do, by %s',
    async (path) => {
      process.env.DINO8_KERNEL_PATH = path;
      try {
        for (const sizes of [LAYER, { depth: 4, columns: 4, hidden: 4 }, { depth: 64, columns: 100, hidden: 132 }]) {
          const [one, two] = [await fused(layer(sizes), 1), await fused(layer(sizes), 2)];
          for (const feeds of [
            feedsOf(sizes, [2, 0]),
            feedsOf(sizes, [1, 1]),
            feedsOf(sizes, [3, 67]),
            feedsOf(sizes, [3, 7], [1, 7]),
            feedsOf(sizes, [1, 7], [3, 1]),
          ]) {
            const found = await run(one, feeds, { ...withKernels, threads: 2 });
            expect(found).toEqual(await run(two, feeds, withKernels));
          }
        }
      } finally {
        delete process.env.DINO8_KERNEL_PATH;
      }
    },
  );

  test.runIf(hasKernels)('takes numbers of any size, and none', async () => {
    const odd = [1e30, -1e30, Infinity, -Infinity, Number.NaN, 3e38, 1e-45, -0];
    const oddly = (count: number) => Float32Array.from({ length: count }, (_, at) => odd[at % 11] ?? at);
    const { depth, columns } = LAYER;
    const feeds = {
      x: floats(oddly(49 * depth), [1, 49, depth]),
      residual: floats(oddly(49 * columns), [1, 49, columns]),
    };
    const [one, two] = [await fused(layer(LAYER), 1), await fused(layer(LAYER), 2)];
    expect(await run(one, feeds, withKernels)).toEqual(await run(two, feeds, withKernels));
  });

  test.for<Partial<Layer>>([{ isMiddleRead: true }, { epsilon: 1e-3 }])(
    'is not made where its parts are needed apart: %j',
    (changes) => {
      const model = layer({ ...LAYER, ...changes });
      expect(fuseLinearBlocks(model)).toBe(2);
      expect(fuseProjections(model)).toBe(0);
    },
  );

  test.runIf(hasKernels)('refuses a residual and normalizations that do not fit', async () => {
    const model = await fused(layer(LAYER), 1);
    await expect(run(model, feedsOf(LAYER, [1, 7], [1, 3]), withKernels)).rejects.toThrow(/residual does not fit/);
    for (const name of ['first.norm', 'second.norm_bias']) {
      const other = copyModel(model);
      const tensor = other.graph.initializer.find((each) => each.name === name);
      if (tensor) Object.assign(tensor, makeTensor(name, [7], new Float32Array(7)));
      await expect(run(other, feedsOf(LAYER, [1, 7]), withKernels)).rejects.toThrow(/another size than a row/);
    }
  });
});
