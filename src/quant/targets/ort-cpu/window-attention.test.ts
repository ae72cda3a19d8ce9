/** Attention within windows as one operator computes what the separate operators do, and blocks that differ stay as they are. */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { readPackage } from '../../../models/package/package.ts';
import { float } from '../../../onnx/attributes.ts';
import { GraphBuilder } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { DOMAIN, WINDOW_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { extractModel } from '../../../onnx/extract.ts';
import { inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor, type TypedArray, tensorElements } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { haveSameBytes, largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { observableValues } from '../../observable-values.ts';
import { calibrate, type Statistics } from '../../observe/calibrate.ts';
import { listedSamples } from '../../observe/sample.ts';
import { quantizeModel } from '../../quantize.ts';
import { parseRecipe } from '../../recipe.ts';
import { integerProductFunction } from './integer-product.ts';
import { type WindowParts, windowAttentionFunction, windowOperator } from './window-attention-function.ts';

// A switch that leaves out the pass under test, so that models with and without it can be compared.
const pass = vi.hoisted(() => ({ isOn: true }));
vi.mock(import('./window-attention.ts'), async (original) => {
  const { fuseWindowAttention } = await original();
  return { fuseWindowAttention: async (model) => (pass.isOn ? fuseWindowAttention(model) : 0) };
});

const paths = KERNEL_PATHS.filter(hasKernelPath);
// On some processors the kernels run only where an instruction set is asked for.
beforeEach(() => {
  process.env.DINO8_KERNEL_PATH = paths[0] ?? '';
});
afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
  pass.isOn = true;
});

type MapShape = readonly [batch: number, height: number, width: number, channels: number];

const mapOf = (shape: MapShape, seed: number) =>
  noise(
    shape.reduce((product, size) => product * size, 1),
    seed,
  );

async function run(model: Model, x: Float32Array, shape: MapShape, options = {}): Promise<Float32Array> {
  const [{ name: input = '' } = {}] = model.graph.input;
  const [{ name: output = '' } = {}] = model.graph.output;
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run({ [input]: floats(x, shape) });
  expect(outputs.get(output).type).toBe(DataType.FLOAT);
  return floatData(outputs.get(output)).slice();
}

const meanDifference = (a: Float32Array, b: Float32Array) =>
  a.reduce((sum, value, at) => sum + Math.abs(value - (b[at] ?? Number.NaN)), 0) / a.length;

interface Attention {
  readonly window: number;
  readonly shift: number;
  readonly heads: number;
  readonly size: number;
  readonly shape: MapShape;
  readonly seed: number;
  readonly parts?: WindowParts;
}

const PLAIN: WindowParts = { hasIntegers: false, isRounded: false };
const VARIANTS: readonly WindowParts[] = [
  PLAIN,
  { hasIntegers: true, isRounded: false },
  { hasIntegers: false, isRounded: true },
  { hasIntegers: true, isRounded: true },
];

const attentions: fc.Arbitrary<Attention> = fc
  .record({
    window: fc.constantFrom(1, 2, 3, 4, 7, 7, 12),
    shift: fc.nat(),
    heads: fc.constantFrom(1, 2, 3),
    size: fc.constantFrom(4, 12, 16, 20, 32),
    batch: fc.constantFrom(1, 2),
    height: fc.integer({ min: 1, max: 17 }),
    width: fc.integer({ min: 1, max: 17 }),
    seed: fc.integer(),
    parts: fc.constantFrom(...VARIANTS),
  })
  .map(({ window, shift, heads, size, batch, height, width, seed, parts }) => ({
    ...{ window, shift: shift % window, heads, size, seed, parts },
    shape: [batch, height, width, heads * size],
  }));

const CONTEXT_SCALE = 2 ** -6;

/** The steps of the residual sum. */
const X_SCALE = 2 ** -5;
const BRANCH_SCALE = 2 ** -6;
const SUM_SCALE = 2 ** -4;

/** A model of the operator alone, with random weights of about unit size. */
function operator(
  { window, shift, heads, shape, seed, parts = PLAIN }: Attention,
  replaced: Record<string, [number[], TypedArray]> = {},
) {
  const channels = shape[3];
  const b = new GraphBuilder('attention');
  b.define(integerProductFunction());
  b.define(windowAttentionFunction(parts));
  const stored = (name: string, dims: number[], data: TypedArray) =>
    b.initializer(makeTensor(name, ...(replaced[name] ?? ([dims, data] as const))));
  const layer = (name: string, columns: number, scale: number, zero: number) => {
    const panels = Math.ceil(columns / 16);
    // The numbers of columns that fill up the last panel must be 0.
    const weight = Int8Array.from(noise(panels * channels * 16, seed + columns), (x, at) => {
      const column = Math.floor(at / (channels * 16)) * 16 + (Math.floor(at / 4) % 16);
      return column < columns ? Math.round(x * 127) : 0;
    });
    return [
      stored(`${name}.input_scale`, [], Float32Array.of(scale)),
      stored(`${name}.zero`, [], Uint8Array.of(zero)),
      stored(`${name}.weight`, [panels, channels / 4, 16, 4], weight),
      stored(`${name}.scale`, [columns], new Float32Array(columns).fill(1 / 64 / Math.sqrt(channels))),
      stored(`${name}.bias`, [columns], noise(columns, seed + 3)),
    ];
  };
  const range = (name: string, scale: number, zero: Uint8Array | Int8Array) => [
    stored(`${name}.range_scale`, [], Float32Array.of(scale)),
    stored(`${name}.range_zero`, [], zero),
  ];
  const tokens = window ** 2;
  const inputs = [
    b.input('x', DataType.FLOAT, ['batch', 'height', 'width', channels]),
    stored('norm.scale', [channels], noise(channels, seed + 1)),
    stored('norm.bias', [channels], noise(channels, seed + 2)),
    ...layer('projections', 3 * channels, 2 ** -5, 120),
    stored('bias', [heads, tokens, tokens], noise(heads * tokens ** 2, seed + 4)),
    ...layer('output', channels, CONTEXT_SCALE, 131),
    stored('query_scale', [], Float32Array.of(Math.sqrt(heads / channels))),
    stored('window', [1], BigInt64Array.of(BigInt(window))),
    stored('shift', [1], BigInt64Array.of(BigInt(shift))),
    ...(parts.hasIntegers
      ? [
          ...range('queries', 2 ** -6, Uint8Array.of(119)),
          ...range('keys', 2 ** -5, Int8Array.of(-9)),
          ...range('values', 2 ** -5, Int8Array.of(5)),
        ]
      : []),
    ...(parts.isRounded
      ? [
          ...range('x', X_SCALE, Uint8Array.of(120)),
          ...range('branch', BRANCH_SCALE, Uint8Array.of(131)),
          ...range('sum', SUM_SCALE, Uint8Array.of(124)),
        ]
      : []),
  ];
  const [y] = b.call(DOMAIN, windowOperator(parts), inputs, { epsilon: float(1e-5) });
  if (!y) throw new Error('an operator has one result');
  b.output('y', y);
  return b.finish();
}

/**
 * Where sums are rounded differently, a byte between two layers may be one higher or lower: few are, by few steps. With products of
 * integers more are, since the weights of keys are bytes, and those near the middle between two steps go to the other one: about one
 * in twenty bytes of the context is another one then, which moves the results by a fifth of a step in the mean at most. A rounded
 * residual sum makes whole steps of such differences, at most of the numbers of one token and of a few others.
 */
function expectClose(found: Float32Array, expected: Float32Array, { parts = PLAIN, shape }: Attention): void {
  const ofOneToken = (SUM_SCALE * shape[3]) / found.length;
  const mean = parts.hasIntegers ? CONTEXT_SCALE / 5 : 2e-4;
  expect(largestDifference(found, expected)).toBeLessThan(4 * CONTEXT_SCALE + (parts.isRounded ? SUM_SCALE : 0));
  expect(meanDifference(found, expected)).toBeLessThan(mean + (parts.isRounded ? ofOneToken + 1e-3 : 0));
}

const EXAMPLE: Attention = { window: 7, shift: 3, heads: 2, size: 16, shape: [1, 10, 15, 32], seed: 5 };

describe.runIf(hasKernels)('the kernel', () => {
  test.for(paths)('computes what the body does, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    await fc.assert(
      fc.asyncProperty(attentions, async (attention) => {
        const x = mapOf(attention.shape, attention.seed).map((value) => value * 3);
        const model = operator(attention);
        expectClose(await run(model, x, attention.shape, withKernels), await run(model, x, attention.shape), attention);
      }),
      { numRuns: 10 },
    );
  });

  test('does not depend on the number of threads', async () => {
    const attention: Attention = { ...EXAMPLE, shape: [2, 50, 61, 32] };
    const x = mapOf(attention.shape, 7);
    const one = await run(operator(attention), x, attention.shape, { ...withKernels, threads: 1 });
    const four = await run(operator(attention), x, attention.shape, { ...withKernels, threads: 4 });
    expect(haveSameBytes(one, four)).toBe(true);
  });

  test.for(paths)('keeps numbers that are none in their windows, and saturates, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const model = operator({ ...EXAMPLE, shift: 0 });
    const x = mapOf(EXAMPLE.shape, 9);
    const clean = await run(model, x, EXAMPLE.shape, withKernels);
    const bad = x.slice();
    for (const [at, value] of [Number.NaN, Infinity, -Infinity, 3e38].entries()) bad[at * 32 + 1] = value;
    const found = await run(model, bad, EXAMPLE.shape, withKernels);
    const isIn = (at: number) => Math.floor(at / 32 / 15) < 7 && Math.floor(at / 32) % 15 < 7;
    expect(found.every((value, at) => isIn(at) || value === clean[at])).toBe(true);
    // The other tokens of the window see bytes, which are numbers.
    expect(found.every((value, at) => Math.floor(at / 32) < 4 || Number.isFinite(value))).toBe(true);
    const large = x.map((value) => value * 1e18);
    expectClose(
      await run(
        model,
        large.map((value) => value / 1e18),
        EXAMPLE.shape,
        withKernels,
      ),
      clean,
      EXAMPLE,
    );
    const steep = { 'norm.scale': [[32], new Float32Array(32).fill(1e6)] as [number[], TypedArray] };
    const saturated = operator({ ...EXAMPLE, shift: 0 }, steep);
    expectClose(await run(saturated, x, EXAMPLE.shape, withKernels), await run(saturated, x, EXAMPLE.shape), EXAMPLE);
  });

  test('gives an empty map for an empty one', async () => {
    const none: MapShape = [0, 10, 15, 32];
    expect(await run(operator(EXAMPLE), new Float32Array(0), none, withKernels)).toHaveLength(0);
  });

  const hostile: readonly (readonly [string, number[], TypedArray, RegExp])[] = [
    ['window', [1], BigInt64Array.of(8n), /does not fit the window/],
    ['window', [1], BigInt64Array.of(0n), /out of range/],
    ['window', [1], BigInt64Array.of(2n ** 62n), /out of range/],
    ['window', [2], BigInt64Array.of(7n, 7n), /one number/],
    ['shift', [1], BigInt64Array.of(7n), /out of range/],
    ['shift', [1], BigInt64Array.of(-1n), /out of range/],
    ['bias', [3, 49, 49], new Float32Array(3 * 49 * 49), /do not fit each other/],
    ['bias', [2, 49, 48], new Float32Array(2 * 49 * 48), /does not fit the window/],
    ['bias', [2 * 49 * 49], new Float32Array(2 * 49 * 49), /does not fit the window/],
    ['norm.scale', [31], new Float32Array(31), /another size than the channels/],
    ['query_scale', [2], new Float32Array(2), /not one number/],
    ['projections.bias', [80], new Float32Array(80), /number of scales|other size/],
    ['output.weight', [1, 8, 16, 4], new Int8Array(512), /another size/],
    ['output.input_scale', [], new Float32Array(1), /not above 0/],
  ];
  test.for(hostile)('refuses a %s of the shape %j', async ([name, dims, data, message]) => {
    const model = operator(EXAMPLE);
    const replaced = makeTensor(name, dims, data);
    model.graph.initializer = model.graph.initializer.map((each) => (each.name === name ? replaced : each));
    await expect(run(model, mapOf(EXAMPLE.shape, 1), EXAMPLE.shape, withKernels)).rejects.toThrow(message);
  });
});

describe('the bundled backbone', () => {
  const MAP = 'model.backbone.conv_encoder.model.embeddings.norm/LayerNormalization:';
  const END = 'model.backbone.conv_encoder.model.encoder.layers.3.blocks.1/Add_1:';
  const LAYERS = "  - { match: '**', operators: [MatMul], treatment: static }\n";
  const PRODUCTS = "  - { match: '**', inputs: activations, operators: [MatMul], treatment: static }\n";
  const shapes: readonly MapShape[] = [
    [1, 48, 64, 24],
    [2, 29, 43, 24],
    [1, 3, 5, 24],
  ];
  let source: Model;
  let statistics: Statistics;
  let fused: Model;
  let separate: Model;
  /** For each shape the results of the float model, and how far the bodies are from them. */
  let references: readonly { readonly expected: Float32Array; readonly body: number }[];
  beforeAll(async () => {
    source = extractModel((await readPackage(join(packageRoot, 'assets/nano'))).model, [MAP], [END]);
    const list = shapes.map((shape, place) => ({
      place,
      tokens: 1,
      feeds: { [MAP]: floats(mapOf(shape, place), shape) },
    }));
    statistics = await calibrate(source, observableValues(source, true), listedSamples(list));
    [fused, separate] = [await quantized(LAYERS), await quantized(LAYERS, false)];
    references = await Promise.all(
      shapes.map(async (shape) => {
        const expected = await run(source, mapOf(shape, 31), shape);
        return { expected, body: meanDifference(await run(fused, mapOf(shape, 31), shape), expected) };
      }),
    );
  });

  const recipe = (rules: string) => parseRecipe(`description: for a test\nrules:\n${rules}`, 'test.yaml');
  const quantized = async (rules: string, isOn = true, model = source) => {
    pass.isOn = isOn;
    return (await quantizeModel(model, recipe(rules), { statistics })).model;
  };
  const count = ({ graph }: Model, operator = WINDOW_ATTENTION) =>
    graph.node.filter(({ opType }) => opType === operator).length;

  test('all blocks become operators, whose bodies compute the same', async () => {
    expect([count(fused), count(separate)]).toEqual([8, 0]);
    for (const shape of shapes) {
      const x = mapOf(shape, 31);
      expect(largestDifference(await run(fused, x, shape), await run(separate, x, shape))).toBeLessThan(1e-5);
    }
  });

  test.runIf(hasKernels).for(paths)('the kernels by %s are as near to the float model as the bodies', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    for (const [at, { expected, body }] of references.entries()) {
      const shape = shapes[at] as MapShape; // there is a reference for each
      const kernel = await run(fused, mapOf(shape, 31), shape, withKernels);
      expect(meanDifference(kernel, expected)).toBeLessThan(1.1 * body);
    }
  });

  test('shape inference knows that the size of the map stays', async () => {
    const fixed = copyModel(fused);
    fixed.graph.input = [makeValueInfo(MAP, DataType.FLOAT, [2, 29, 43, 24])];
    const infos = inferShapes(fixed);
    const [first] = fixed.graph.node.filter(({ opType }) => opType === WINDOW_ATTENTION);
    expect(infos.get(first?.output[0] ?? '')?.shape).toEqual([2, 29, 43, 24]);
  });

  test('a model of fixed size has the same operators', async () => {
    const fixed = copyModel(source);
    fixed.graph.input = [makeValueInfo(MAP, DataType.FLOAT, [1, 29, 43, 24])];
    await foldConstants(fixed);
    const [together, apart] = [await quantized(LAYERS, true, fixed), await quantized(LAYERS, false, fixed)];
    expect(count(together)).toBe(8);
    const x = mapOf([1, 29, 43, 24], 3);
    expect(
      largestDifference(await run(together, x, [1, 29, 43, 24]), await run(apart, x, [1, 29, 43, 24])),
    ).toBeLessThan(1e-5);
  });

  const SUMS = "  - { match: '**', inputs: activations, operators: [Add], treatment: static }\n";
  const withIntegers: readonly (readonly [string, string, WindowParts])[] = [
    ['the products of attention', PRODUCTS, { hasIntegers: true, isRounded: false }],
    ['the residual sums', SUMS, { hasIntegers: false, isRounded: true }],
    ['both', PRODUCTS + SUMS, { hasIntegers: true, isRounded: true }],
  ];
  test.for(withIntegers)('where the recipe quantizes %s, the operators do', async ([, rules, parts]) => {
    const [together, apart] = [await quantized(LAYERS + rules), await quantized(LAYERS + rules, false)];
    expect(count(together, windowOperator(parts))).toBe(8);
    const [shape] = shapes as readonly [MapShape];
    const x = mapOf(shape, 31);
    const [expected, body, float] = [
      await run(apart, x, shape),
      await run(together, x, shape),
      await run(source, x, shape),
    ];
    const error = meanDifference(expected, float);
    expect(meanDifference(body, float)).toBeLessThan(1.1 * error);
    if (hasKernels) expect(meanDifference(await run(together, x, shape, withKernels), float)).toBeLessThan(1.1 * error);
  });

  const changes: readonly (readonly [string, (model: Model) => void])[] = [
    [
      'the mask of shifted windows is weaker',
      (model) => replaceMasks(model, (masks) => masks.map((mask) => mask.map((x) => x / 100))),
    ],
    [
      'the masks of the last row and of the last column are exchanged',
      (model) => replaceMasks(model, ([inside = [], column = [], row = [], both = []]) => [inside, row, column, both]),
    ],
    ['tokens are in another order', (model) => setOrder(model, /blocks\.\d\/Transpose$/, [0, 1, 3, 4, 2, 5])],
    ['heads are split in another way', (model) => setOrder(model, /attention\.self\/Transpose_2/, [0, 3, 1, 2])],
    [
      'the map is rolled by other amounts along its width',
      (model) => {
        replaceConstant(model, /blocks\.\d\/Slice_2$/, 1, BigInt64Array.of(2n));
        replaceConstant(model, /blocks\.\d\/Slice_3$/, 2, BigInt64Array.of(2n));
      },
    ],
  ];
  test.for(changes)('a block stays as it is if %s', async ([, change]) => {
    const changed = copyModel(source);
    change(changed);
    expect(count(await quantized(LAYERS, true, changed))).toBeLessThan(8);
  });
});

/** Gives the nodes of a pattern another constant as one of their inputs. */
function replaceConstant({ graph }: Model, pattern: RegExp, input: number, data: TypedArray, dims = [1]): void {
  const name = `changed_${pattern.source}_${input}`;
  graph.initializer.push(makeTensor(name, dims, data));
  for (const node of graph.node) if (pattern.test(node.name)) node.input[input] = name;
}

/** Gives windows other masks of their four kinds. */
function replaceMasks(model: Model, change: (masks: readonly number[][]) => readonly number[][]): void {
  const gather = model.graph.node.find(({ name }) => /windows\/Gather/.test(name));
  const stored = model.graph.initializer.find(({ name }) => name === gather?.input[0]);
  if (!stored) throw new Error('the masks of shifted windows are stored');
  const numbers = Array.from(tensorElements(stored), Number);
  const length = numbers.length / 4;
  const masks = [0, 1, 2, 3].map((kind) => numbers.slice(kind * length, (kind + 1) * length));
  const changed = Float32Array.from(change(masks).flat());
  replaceConstant(model, /windows\/Gather/, 0, changed, stored.dims.map(Number));
}

function setOrder({ graph }: Model, pattern: RegExp, order: readonly number[]): void {
  for (const node of graph.node)
    if (pattern.test(node.name))
      for (const attribute of node.attribute) if (attribute.name === 'perm') attribute.ints = order.map(BigInt);
}
