/** Fused blocks of linear layers compute what the separate operators do, by every instruction set of this machine. */
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { QUANTIZED } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import type { Outputs } from '../../../runtime/outputs.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floatData, floats, type Tensor } from '../../../runtime/tensor.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { isNearMiddle, layerNormError } from '../../../testing/rounding-bounds.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { fuseLinearBlocks } from './linear-blocks.ts';
import { type LinearParts, linearOperator } from './linear-function.ts';
import { quantizeResults } from './quantize-results.ts';

interface Block extends LinearParts {
  readonly depth: number;
  readonly hidden: number;
  readonly columns: number;
  readonly rows: number;
  /** Whether all columns of a weight have one scale. */
  readonly isShared: boolean;
  /** Whether the result is read as floats, as bytes, or as both. */
  readonly results: 'floats' | 'bytes' | 'both';
  readonly seed: number;
}

const blocks: fc.Arbitrary<Block> = fc
  .record({
    depth: fc.constantFrom(4, 8, 60, 64, 252),
    hidden: fc.constantFrom(4, 16, 20, 64, 68, 132),
    columns: fc.constantFrom(1, 3, 16, 17, 64, 100),
    rows: fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 7, 47, 48, 49, 200),
    layers: fc.constantFrom(1, 2),
    hasGelu: fc.boolean(),
    hasNorm: fc.boolean(),
    isShared: fc.boolean(),
    hasRowScale: fc.boolean(),
    hasNormBefore: fc.boolean(),
    isRounded: fc.boolean(),
    results: fc.constantFrom('floats', 'bytes', 'both'),
    seed: fc.integer(),
  })
  .map((block) =>
    block.hasNormBefore ? normBefore(block) : { ...block, isRounded: block.isRounded && block.hasNorm },
  );

/** A block that reads its x normalized. Two layers have a Gelu between them, and their result is added to x. */
const normBefore = <T extends Block>(block: T): T => ({
  ...block,
  ...{ hasNormBefore: true, hasNorm: false, hasRowScale: false },
  ...(block.layers === 2 ? { hasGelu: true, columns: block.depth } : { hasGelu: false, isRounded: false }),
});

const HIDDEN_SCALE = 2 ** -2;
const WEIGHT_SCALE = 2 ** -7;
const Y_SCALE = 2 ** -3;
/** The steps of a rounded residual sum. */
const SUM_SCALE = 2 ** -4;
const X_SCALE = 2 ** -6;
const EPSILON = 1e-4;
/** The error of the kernels' Gelu before a quantization, 1.63e-4 (kernels/gelu_to_bytes.h), and of ONNX Runtime's. */
const GELU_ERROR = 1.7e-4;

/**
 * The block as separate operators. All scales are powers of two, so that floats round nothing where there is no Gelu. With
 * `givesMiddle` the numbers that are quantized or normalized within it are outputs as well.
 */
function separate(block: Block, givesMiddle = false): Model {
  const { depth, hidden, columns, layers, hasGelu, hasNorm, hasNormBefore, isRounded, isShared, results, seed } = block;
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
  const first = layer('first', [depth, layers === 2 ? hidden : columns]);
  const second = layers === 2 ? layer('second', [hidden, columns]) : undefined;
  const ranges = {
    x: [scalar('x.scale', Float32Array.of(X_SCALE)), scalar('x.zero', Uint8Array.of(117))] as const,
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
  const vector = (name: string, size: number) => b.initializer(makeTensor(name, [size], noise(size, seed + 11)));
  const norm = (value: ReturnType<typeof scalar>, size: number) =>
    b.layerNormalization(value, vector('norm.scale', size), vector('norm.bias', size), EPSILON);
  const middle = (name: string, value: ReturnType<typeof scalar>) => {
    if (givesMiddle) b.output(name, value);
    return value;
  };
  const round = (name: string, value: ReturnType<typeof scalar>) => {
    const range = [
      scalar(`${name}.sum_scale`, Float32Array.of(SUM_SCALE)),
      scalar(`${name}.sum_zero`, Uint8Array.of(123)),
    ];
    const [bytes] = b.call('', 'QuantizeLinear', [value, ...range]);
    const [rounded] = bytes ? b.call('', 'DequantizeLinear', [bytes, ...range]) : [];
    if (!rounded) throw new Error('an operator has one result');
    return rounded;
  };
  const add = (x: ReturnType<typeof scalar>, branch: ReturnType<typeof scalar>) =>
    isRounded ? round('sum', b.add(round('residual', x), round('branch', branch))) : b.add(x, branch);
  const x = b.input('x', DataType.FLOAT, ['rows', depth]);
  let y = apply('x', hasNormBefore ? middle('normalized', norm(x, depth)) : x, first);
  if (second) y = apply('hidden', hasGelu ? middle('activated', b.gelu(y)) : y, second);
  if (hasNorm) y = norm(middle('summed', add(b.input('residual', DataType.FLOAT, ['rows', columns]), y)), columns);
  if (hasNormBefore && second) y = add(x, y);
  if (isScaled(block)) y = b.mul(y, b.input('row_scale', DataType.FLOAT, ['rows', 1]));
  if (results !== 'floats') {
    const [bytes] = b.call('', 'QuantizeLinear', [
      y,
      scalar('y.scale', Float32Array.of(Y_SCALE)),
      scalar('y.zero', Uint8Array.of(90)),
    ]);
    if (bytes) b.output('bytes', bytes);
  }
  if (results !== 'bytes') b.output('y', y);
  return b.finish();
}

/** Only a single layer without a norm has scaled rows. */
const isScaled = ({ layers, hasNorm, hasRowScale = false }: LinearParts) => layers === 1 && !hasNorm && hasRowScale;

async function fused(model: Model): Promise<Model> {
  const copy = copyModel(model);
  expect(fuseLinearBlocks(copy)).toBe(1);
  await foldConstants(copy);
  expect(quantizeResults(copy)).toBe(copy.graph.output.some(({ name }) => name === 'bytes') ? 1 : 0);
  return copy;
}

const EXAMPLE: Block = {
  depth: 8,
  hidden: 20,
  columns: 5,
  rows: 7,
  layers: 2,
  hasGelu: false,
  hasNorm: false,
  isShared: false,
  results: 'floats',
  seed: 5,
};

/** Layers that become operators of dino8, each followed by a dynamically quantized product, which does not. */
function alternating(width: number, layers: number): Model {
  const b = new GraphBuilder('alternating');
  b.define(integerProductFunction());
  const scalar = (name: string, data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, [], data));
  const weight = (name: string, seed: number) => {
    const numbers = Int8Array.from(noise(width * width, seed), (x) => Math.round(x * 127));
    return b.initializer(makeTensor(name, [width, width], numbers));
  };
  const only = <T>([value]: readonly T[]): T => {
    if (value === undefined) throw new Error('an operator has one result');
    return value;
  };
  const [scale, zero] = [scalar('scale', Float32Array.of(2 ** -6)), scalar('zero', Uint8Array.of(117))];
  const [weightScale, weightZero] = [
    scalar('weight.scale', Float32Array.of(2 ** -9)),
    scalar('weight.zero', new Int8Array(1)),
  ];
  const bias = b.initializer(makeTensor('bias', [width], new Float32Array(width)));
  let y = b.input('x', DataType.FLOAT, ['rows', width]);
  for (let layer = 0; layer < layers; layer++) {
    const bytes = only(b.call('', 'QuantizeLinear', [y, scale, zero]));
    const inputs = [bytes, weight(`first.${layer}`, layer), scale, weightScale, zero, weightZero, bias];
    y = only(b.call(CONTRIB, INTEGER_PRODUCT, inputs));
    const [quantized, yScale, yZero] = b.call('', 'DynamicQuantizeLinear', [y], {}, 3);
    if (!quantized || !yScale || !yZero) throw new Error('DynamicQuantizeLinear has three results');
    const sums = only(b.call('', 'MatMulInteger', [quantized, weight(`second.${layer}`, 99 + layer), yZero]));
    y = b.mul(b.mul(b.cast(sums, DataType.FLOAT), yScale), 2 ** -9);
  }
  b.output('y', y);
  return b.finish();
}

/** Runs a model. Bytes become multiples of their scale. */
async function outputsOf(model: Model, feeds: Feeds, options = {}): Promise<Readonly<Record<string, Float32Array>>> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  const unit = ({ type }: Tensor) => (type === DataType.UINT8 ? Y_SCALE : 1);
  const numbers = (found: Tensor) => Float32Array.from([...found.data].map((value) => Number(value) * unit(found)));
  return Object.fromEntries(outputs.names.map((name) => [name, numbers(outputs.get(name))]));
}

/** Runs a model on `x`, and on a residual and factors of rows that are always the same. Returns all outputs in one array. */
async function run(model: Model, x: Float32Array, block: Block, options = {}): Promise<Float32Array> {
  const found = Object.values(await outputsOf(model, feedsOf(x, block), options));
  return Float32Array.from(found.flatMap((each) => [...each]));
}

function feedsOf(x: Float32Array, block: Pick<Block, 'depth' | 'columns'> & LinearParts): Feeds {
  const { depth, columns, hasNorm } = block;
  const rows = x.length / depth;
  const residual = { residual: floats(noise(rows * columns, 13), [rows, columns]) };
  const factors = {
    row_scale: floats(
      Float32Array.from({ length: rows }, (_, row) => (row % 3) / 2),
      [rows, 1],
    ),
  };
  return { x: floats(x, [rows, depth]), ...(hasNorm ? residual : {}), ...(isScaled(block) ? factors : {}) };
}

/** The row `index` of a matrix of `columns` columns. */
const rowOf = (matrix: Float32Array, index: number, columns: number) =>
  matrix.subarray(index * columns, (index + 1) * columns);

/** Some rows of the inputs, which are all matrices of floats. */
const gather = (feeds: Feeds, rows: readonly number[]): Feeds =>
  Object.fromEntries(
    Object.entries(feeds).map(([name, { data, shape }]) => {
      const columns = shape[1] ?? 1;
      const chosen = rows.flatMap((row) => [...rowOf(data as Float32Array, row, columns)]); // floats, as said above
      return [name, floats(Float32Array.from(chosen), [rows.length, columns])];
    }),
  );

/** What the separate operators compute of some rows, by the names of `separate`. */
type Reference = Readonly<Record<string, Float32Array>>;

/**
 * True for a row of which no byte within the block can be rounded either way: none is quantized from a number that the error of a
 * norm or of a Gelu could move across the middle between two bytes. All that follows from these bytes has one right value, but
 * for a norm at the end.
 */
function isCertain({ normalized, activated }: Reference, x: Float32Array, row: number, block: Block): boolean {
  const { depth, hidden } = block;
  const isApart = (values: Float32Array, scale: number, error: number) =>
    !values.some((value) => isNearMiddle(value, scale, error));
  return (
    (!normalized || isApart(rowOf(normalized, row, depth), X_SCALE, layerNormError(rowOf(x, row, depth), EPSILON))) &&
    (!activated || isApart(rowOf(activated, row, hidden), HIDDEN_SCALE, GELU_ERROR))
  );
}

/** Runs the kernel on certain rows. Says in a sentence where its results are not those of the separate operators, if anywhere. */
async function wrongResult(block: Block): Promise<string | undefined> {
  const { depth, columns, rows, seed } = block;
  const drawn = 2 * rows + 24;
  const x = noise(drawn * depth, seed).map((value) => value * 3);
  const feeds = feedsOf(x, block);
  const reference = await outputsOf(separate({ ...block, results: 'both' }, true), feeds);
  const certain = Array.from({ length: drawn }, (_, row) => row).filter((row) => isCertain(reference, x, row, block));
  // Rows repeat if there are too few.
  const chosen = Array.from({ length: rows }, (_, at) => certain[at % certain.length] ?? Number.NaN);
  const found = await outputsOf(await fused(separate(block)), gather(feeds, chosen), withKernels);
  if (Object.values(found).some(({ length }) => length !== rows * columns))
    return 'the number of results is another one';
  const { summed, y = new Float32Array(), bytes = new Float32Array() } = reference;
  for (const [row, from] of chosen.entries()) {
    const error = summed ? layerNormError(rowOf(summed, from, columns), EPSILON) : 0;
    for (let column = 0; column < columns; column++) {
      const [at, wanted] = [row * columns + column, y[from * columns + column] ?? Number.NaN];
      const byte = bytes[from * columns + column] ?? Number.NaN;
      if (!isWithin(error, found.y?.[at] ?? wanted, wanted)) return `row ${row} has ${found.y?.[at]} for ${wanted}`;
      const step = isNearMiddle(wanted, Y_SCALE, error) ? Y_SCALE : 0;
      if (!isWithin(step, found.bytes?.[at] ?? byte, byte))
        return `row ${row} has a byte ${found.bytes?.[at]} for ${byte}`;
    }
  }
  return undefined;
}

const isWithin = (tolerance: number, found: number, expected: number) => Math.abs(found - expected) <= tolerance;

const isClose = (found: Float32Array, expected: Float32Array, tolerance: number) =>
  found.length === expected.length && found.every((y, at) => Math.abs(y - (expected[at] ?? Number.NaN)) <= tolerance);

/** Whether ONNX Runtime 1.30 would crash: its own sum of two quantized tensors reads the element of an empty [0, 1]. */
const crashesOnnxRuntime = ({ rows, columns, isRounded = false }: Block) => rows === 0 && columns === 1 && isRounded;

// On some processors the kernels run only where an instruction set is asked for.
beforeEach(() => {
  process.env.DINO8_KERNEL_PATH = KERNEL_PATHS.find(hasKernelPath) ?? '';
});
afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

test('the body of the function computes the same to the bit', async () => {
  await fc.assert(
    fc.asyncProperty(blocks, async (block) => {
      fc.pre(!crashesOnnxRuntime(block));
      const model = separate(block);
      const x = noise(block.rows * block.depth, block.seed).map((value) => value * 3);
      expect(await run(await fused(model), x, block)).toEqual(await run(model, x, block));
    }),
    { numRuns: 15 },
  );
});

describe.runIf(hasKernels)('the kernel', () => {
  test.for(KERNEL_PATHS.filter(hasKernelPath))(
    'computes the same by %s: to the bit, but for the rounding of a norm at the end',
    async (path) => {
      process.env.DINO8_KERNEL_PATH = path;
      await fc.assert(
        fc.asyncProperty(blocks, async (block) => {
          expect(await wrongResult(block)).toBeUndefined();
        }),
        { numRuns: 25 },
      );
    },
  );

  test.for(KERNEL_PATHS.filter(hasKernelPath))('takes numbers of any size, and none, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const sizes = [1e30, -1e30, Infinity, -Infinity, 3e38, 1e-45, -0, 1e9];
    // Some numbers are quantized one by one, others by one or by four vectors.
    for (const [depth, hidden] of [
      [8, 20],
      [96, 84],
    ] as const) {
      const block = { ...EXAMPLE, depth, hidden };
      const model = separate(block);
      const large = Float32Array.from({ length: depth }, (_, at) => sizes[at % sizes.length] ?? 0);
      expect(await run(await fused(model), large, block, withKernels)).toEqual(await run(model, large, block));
      const none = new Float32Array(depth).fill(Number.NaN);
      expect((await run(await fused(model), none, block, withKernels)).every(Number.isFinite)).toBe(true);
    }
  });

  // Processors with AMX have tile registers, whose sizes both set for themselves.
  test.for(KERNEL_PATHS.filter(hasKernelPath))(
    "computes the same by %s on threads that also run ONNX Runtime's own integer products",
    async (path) => {
      process.env.DINO8_KERNEL_PATH = path;
      const [rows, width] = [200, 96];
      const model = alternating(width, 4);
      const copy = copyModel(model);
      expect(fuseLinearBlocks(copy)).toBe(4);
      await foldConstants(copy);
      await using kernel = await Session.create(modelBytes(copy), { ...withKernels, threads: 2 });
      await using separated = await Session.create(modelBytes(model), { threads: 2 });
      for (let seed = 0; seed < 3; seed++) {
        const feeds = { x: floats(noise(rows * width, seed), [rows, width]) };
        using found = await kernel.run(feeds);
        using expected = await separated.run(feeds);
        expect(floatData(found.get('y'))).toEqual(floatData(expected.get('y')));
      }
    },
  );

  const variants = [false, true].flatMap((hasNorm): LinearParts[] => [
    { layers: 1, hasGelu: false, hasNorm },
    { layers: 2, hasGelu: false, hasNorm },
    { layers: 2, hasGelu: true, hasNorm },
    { layers: 1, hasGelu: false, hasNorm: false, hasRowScale: true },
    ...(hasNorm ? [{ layers: 2, hasGelu: false, hasNorm, isRounded: true } as const] : []),
  ]);
  variants.push(
    normBefore(EXAMPLE),
    normBefore({ ...EXAMPLE, isRounded: true }),
    normBefore({ ...EXAMPLE, layers: 1 }),
  );
  const forms = variants.flatMap((parts) => [
    { ...parts, results: 'floats' as const },
    { ...parts, results: 'both' as const },
  ]);
  test.for(forms)('is what runs, in place of the body: %o', async (parts) => {
    const block = { ...EXAMPLE, ...parts };
    const profile = await profileRun(
      modelBytes(await fused(separate(block))),
      withKernels,
      feedsOf(noise(56, 1), block),
    );
    const before = parts.layers === 1 && !parts.hasNormBefore ? ['QuantizeLinear'] : [];
    const end = parts.results === 'floats' ? '' : QUANTIZED;
    expect(profile.map(({ operator }) => operator)).toEqual([...before, `${linearOperator(parts)}${end}`]);
  });

  test('refuses weights and inputs that do not fit, and scales that are not above 0', async () => {
    const changed = async (name: string, dims: number[], Elements: typeof Int8Array | typeof Float32Array) => {
      const model = await fused(separate({ ...EXAMPLE, hasNorm: true, isShared: true }));
      const count = dims.reduce((product, size) => product * size, 1);
      const tensor = makeTensor(name, dims, new Elements(count));
      expect(model.graph.initializer.some((each) => each.name === name)).toBe(true);
      model.graph.initializer = model.graph.initializer.map((each) => (each.name === name ? tensor : each));
      return run(model, noise(56, 1), { ...EXAMPLE, hasNorm: true }, withKernels);
    };
    const weight = 'first.weight.packed';
    await expect(changed(weight, [2, 3, 16, 4], Int8Array)).rejects.toThrow(/x does not fit the first weight/);
    await expect(changed(weight, [3, 2, 16, 4], Int8Array)).rejects.toThrow(/not in panels of 16 columns/);
    await expect(changed(weight, [2, 2, 64], Int8Array)).rejects.toThrow(/not in panels of 16 columns/);
    await expect(changed('first.bias', [17], Float32Array)).rejects.toThrow(/do not fit each other/);
    await expect(changed('first.scale', [3], Float32Array)).rejects.toThrow(/another number of scales/);
    await expect(changed('norm.scale', [6], Float32Array)).rejects.toThrow(/another size than a row/);
    await expect(changed('x.scale', [], Float32Array)).rejects.toThrow(/not above 0/);
  });

  const shapes = [[5], [1, 5], [4, 1, 5], [4, 7, 5], [1, 1, 1, 5]];
  const broadcasts = shapes.flatMap((shape) => [[shape, 'floats'] as const, [shape, 'both'] as const]);
  test.for(broadcasts)('broadcasts a residual of the shape %j, with results as %s', async ([shape, results]) => {
    const block = { ...EXAMPLE, hasNorm: true, results };
    const model = separate(block);
    const count = shape.reduce((product, size) => product * size, 1);
    const feeds = { ...feedsOf(noise(56, 1), block), residual: floats(noise(count, 3), shape) };
    const summed = Array.from({ length: Math.max(2, shape.length) }, () => undefined);
    const anyShape = (each: Model) => {
      each.graph.input = [...each.graph.input.slice(0, 1), makeValueInfo('residual', DataType.FLOAT, shape)];
      each.graph.output = [
        ...(results === 'both' ? [makeValueInfo('bytes', DataType.UINT8, summed)] : []),
        makeValueInfo('y', DataType.FLOAT, summed),
      ];
      return modelBytes(each);
    };
    await using kernel = await Session.create(anyShape(await fused(model)), withKernels);
    await using separated = await Session.create(anyShape(model));
    using found = await kernel.run(feeds);
    using expected = await separated.run(feeds);
    expect(found.get('y').shape).toEqual(expected.get('y').shape);
    expect(isClose(floatData(found.get('y')), floatData(expected.get('y')), 1e-4)).toBe(true);
    const bytes = (outputs: Outputs) => Float32Array.from(outputs.get('bytes').data, Number);
    if (results === 'both') expect(isClose(bytes(found), bytes(expected), 1)).toBe(true);
  });

  test('refuses a residual that does not fit the result', async () => {
    const block = { ...EXAMPLE, hasNorm: true };
    await using session = await Session.create(modelBytes(await fused(separate(block))), withKernels);
    const feeds = { ...feedsOf(noise(56, 1), block), residual: floats(new Float32Array(15), [3, 5]) };
    await expect(session.run(feeds)).rejects.toThrow(/residual or the factors of rows do not fit/);
  });
});

test('the normalized sum of two products is part of one of them only', async () => {
  const parts = { ...EXAMPLE, layers: 1, hasNorm: true } as const;
  const model = separate(parts);
  const { graph } = model;
  const product = graph.node.find(({ opType }) => opType === INTEGER_PRODUCT);
  const sum = graph.node.find(({ opType }) => opType === 'Add');
  if (!product || !sum) throw new Error('the block has a product and a sum');
  graph.node.splice(graph.node.indexOf(sum), 0, copyNode(product, { name: 'other', output: ['other'] }));
  sum.input = sum.input.map((name) => (name === 'residual' ? 'other' : name));
  graph.input = graph.input.filter(({ name }) => name !== 'residual');
  const copy = copyModel(model);
  expect(fuseLinearBlocks(copy)).toBe(2);
  await foldConstants(copy);
  const operators = copy.graph.node.map(({ opType }) => opType).filter((operator) => operator !== 'Identity');
  expect(operators).toEqual(['QuantizeLinear', linearOperator({ ...parts, hasNorm: false }), linearOperator(parts)]);
  const x = noise(56, 1);
  const block = { ...parts, hasNorm: false };
  expect(await run(copy, x, block)).toEqual(await run(model, x, block));
});

test('a value between two layers that others read as well, or that is an output, keeps them apart', () => {
  const model = separate({ ...EXAMPLE, hasGelu: true });
  const gelu = model.graph.node.find(({ opType }) => opType === 'Gelu');
  for (const between of [gelu?.input[0] ?? '', gelu?.output[0] ?? '']) {
    const b = new GraphBuilder('block', copyModel(model));
    b.output('read', b.relu(b.value(between)));
    const read = b.finish();
    expect(fuseLinearBlocks(read)).toBe(2);
    expect(read.graph.node.filter(({ opType }) => opType === linearOperator({ ...EXAMPLE, layers: 1 }))).toHaveLength(
      2,
    );
  }
});
