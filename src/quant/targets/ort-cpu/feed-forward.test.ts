/** Fused feed-forward blocks compute what the separate operators do, by every instruction set of this machine. */
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { FEED_FORWARD, FEED_FORWARD_GELU } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseFeedForward } from './feed-forward.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';

interface Block {
  readonly depth: number;
  readonly hidden: number;
  readonly columns: number;
  readonly rows: number;
  readonly hasGelu: boolean;
  /** Whether all columns of a weight have one scale. */
  readonly isShared: boolean;
  readonly seed: number;
}

const blocks: fc.Arbitrary<Block> = fc.record({
  depth: fc.constantFrom(4, 8, 60, 64, 252),
  hidden: fc.constantFrom(4, 16, 20, 64, 68, 132),
  columns: fc.constantFrom(1, 3, 16, 17, 64, 100),
  rows: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 47, 48, 49, 200),
  hasGelu: fc.boolean(),
  isShared: fc.boolean(),
  seed: fc.integer(),
});

const HIDDEN_SCALE = 2 ** -2;
const WEIGHT_SCALE = 2 ** -7;

/** The block as separate operators. All scales are powers of two, so that floats round nothing where there is no Gelu. */
function separate({ depth, hidden, columns, hasGelu, isShared, seed }: Block): Model {
  const b = new GraphBuilder('block');
  b.define(integerProductFunction());
  const scalar = (name: string, data: Float32Array | Uint8Array) => b.initializer(makeTensor(name, [], data));
  const layer = (name: string, [rows, width]: readonly [number, number]) => {
    const numbers = Int8Array.from(noise(rows * width, seed + rows), (x) => Math.round(x * 127));
    const scale = new Float32Array(isShared ? 1 : width).fill(WEIGHT_SCALE);
    const dims = isShared ? [] : [width];
    return {
      weight: b.initializer(makeTensor(`${name}.weight`, [rows, width], numbers)),
      scale: b.initializer(makeTensor(`${name}.scale`, dims, scale)),
      zero: b.initializer(makeTensor(`${name}.zero`, dims, new Int8Array(scale.length))),
      bias: b.initializer(
        makeTensor(
          `${name}.bias`,
          [width],
          noise(width, seed + 7).map((x) => Math.round(x * 64) / 64),
        ),
      ),
    };
  };
  const first = layer('first', [depth, hidden]);
  const second = layer('second', [hidden, columns]);
  const ranges = {
    x: [scalar('x.scale', Float32Array.of(2 ** -6)), scalar('x.zero', Uint8Array.of(117))] as const,
    hidden: [scalar('hidden.scale', Float32Array.of(HIDDEN_SCALE)), scalar('hidden.zero', Uint8Array.of(3))] as const,
  };
  const apply = (
    name: 'x' | 'hidden',
    value: ReturnType<typeof scalar>,
    { weight, scale, zero, bias }: typeof first,
  ) => {
    const [aScale, aZero] = ranges[name];
    const [bytes] = b.call('', 'QuantizeLinear', [value, aScale, aZero]);
    const [product] = bytes ? b.call(CONTRIB, INTEGER_PRODUCT, [bytes, weight, aScale, scale, aZero, zero, bias]) : [];
    if (!product) throw new Error('an operator has one result');
    return product;
  };
  const between = apply('x', b.input('x', DataType.FLOAT, ['rows', depth]), first);
  b.output('y', apply('hidden', hasGelu ? b.gelu(between) : between, second));
  return b.finish();
}

async function fused(model: Model): Promise<Model> {
  const copy = copyModel(model);
  expect(fuseFeedForward(copy)).toBe(1);
  await foldConstants(copy);
  return copy;
}

async function run(model: Model, x: Float32Array, depth: number, options = {}): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run({ x: floats(x, [x.length / depth, depth]) });
  return floatData(outputs.get('y')).slice();
}

/** Up to two of the hidden bytes of a row may be rounded the other way, since the functions of Gelu differ in the last bits. */
const GELU_TOLERANCE = 2 * HIDDEN_SCALE * 127 * WEIGHT_SCALE;

const isClose = (found: Float32Array, expected: Float32Array, tolerance: number) =>
  found.length === expected.length && found.every((y, at) => Math.abs(y - (expected[at] ?? Number.NaN)) <= tolerance);

afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

test('the body of the function computes the same to the bit', async () => {
  await fc.assert(
    fc.asyncProperty(blocks, async (block) => {
      const model = separate(block);
      const x = noise(block.rows * block.depth, block.seed).map((value) => value * 3);
      expect(await run(await fused(model), x, block.depth)).toEqual(await run(model, x, block.depth));
    }),
    { numRuns: 15 },
  );
});

describe.runIf(hasKernels)('the kernel', () => {
  test.for(KERNEL_PATHS.filter(hasKernelPath))(
    'computes the same by %s: to the bit without Gelu, to a rounding with it',
    async (path) => {
      process.env.DINO8_KERNEL_PATH = path;
      await fc.assert(
        fc.asyncProperty(blocks, async (block) => {
          const model = separate(block);
          const x = noise(block.rows * block.depth, block.seed).map((value) => value * 3);
          const found = await run(await fused(model), x, block.depth, withKernels);
          return isClose(found, await run(model, x, block.depth), block.hasGelu ? GELU_TOLERANCE : 0);
        }),
        { numRuns: 25 },
      );
    },
  );

  test.for(KERNEL_PATHS.filter(hasKernelPath))('takes numbers of any size, and none, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const block = { depth: 8, hidden: 20, columns: 5, rows: 1, hasGelu: false, isShared: false, seed: 5 };
    const model = separate(block);
    const large = Float32Array.of(1e30, -1e30, Infinity, -Infinity, 3e38, 1e-45, -0, 1e9);
    expect(await run(await fused(model), large, 8, withKernels)).toEqual(await run(model, large, 8));
    const none = new Float32Array(8).fill(Number.NaN);
    expect((await run(await fused(model), none, 8, withKernels)).every(Number.isFinite)).toBe(true);
  });

  test.for([false, true])('is what runs, in place of the body (Gelu: %s)', async (hasGelu) => {
    const block = { depth: 8, hidden: 20, columns: 5, rows: 7, hasGelu, isShared: true, seed: 5 };
    const model = await fused(separate(block));
    const profile = await profileRun(modelBytes(model), withKernels, { x: floats(noise(56, 1), [7, 8]) });
    expect(profile.map(({ operator }) => operator)).toEqual([hasGelu ? FEED_FORWARD_GELU : FEED_FORWARD]);
  });

  test('refuses weights and inputs that do not fit, and scales that are not above 0', async () => {
    const block = { depth: 8, hidden: 20, columns: 5, rows: 7, hasGelu: false, isShared: true, seed: 5 };
    const changed = async (name: string, tensor: ReturnType<typeof makeTensor>) => {
      const model = await fused(separate(block));
      model.graph.initializer = model.graph.initializer.map((each) => (each.name === name ? tensor : each));
      return run(model, noise(56, 1), 8, withKernels);
    };
    const panels = (...dims: number[]) =>
      makeTensor('first.weight.packed', dims, new Int8Array(dims.reduce((product, size) => product * size, 1)));
    await expect(changed('first.weight.packed', panels(2, 3, 16, 4))).rejects.toThrow(
      /x does not fit the first weight/,
    );
    await expect(changed('first.weight.packed', panels(3, 2, 16, 4))).rejects.toThrow(/not in panels of 16 columns/);
    await expect(changed('first.weight.packed', panels(2, 2, 64))).rejects.toThrow(/not in panels of 16 columns/);
    await expect(changed('first.bias', makeTensor('first.bias', [17], new Float32Array(17)))).rejects.toThrow(
      /do not fit each other/,
    );
    await expect(changed('first.scale', makeTensor('first.scale', [3], new Float32Array(3)))).rejects.toThrow(
      /another number of scales/,
    );
    for (const scale of [0, -1, Number.NaN])
      await expect(changed('x.scale', makeTensor('x.scale', [], Float32Array.of(scale)))).rejects.toThrow(
        /not above 0/,
      );
  });
});

test('products whose bytes between are read by others as well, or by the graph, stay apart', () => {
  const block = { depth: 8, hidden: 20, columns: 5, rows: 7, hasGelu: true, isShared: true, seed: 5 };
  const model = separate(block);
  const gelu = model.graph.node.find(({ opType }) => opType === 'Gelu');
  for (const between of [gelu?.input[0] ?? '', gelu?.output[0] ?? '']) {
    const b = new GraphBuilder('block', copyModel(model));
    b.output('read', b.relu(b.value(between)));
    expect(fuseFeedForward(b.finish())).toBe(0);
  }
});
