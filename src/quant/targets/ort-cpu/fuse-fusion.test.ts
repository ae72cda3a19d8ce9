/** The operator of attention between an image and a text, by its body and by the kernels, and the pass that places it. */
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { planCalibration } from '../../../data/calibration-plan.ts';
import { readDataset } from '../../../data/datasets/read-dataset.ts';
import { calibrationSamples } from '../../../detect/calibration-feeds.ts';
import { readPackage } from '../../../models/package/package.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { DOMAIN, FUSION_ATTENTION } from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { calibrateDataset } from '../../../pipeline/calibrate-dataset.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floatData, floats, type Tensor, tensor } from '../../../runtime/tensor.ts';
import { largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, KERNEL_PATHS, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { valuesToObserve } from '../../plan.ts';
import { quantizeModel } from '../../quantize.ts';
import { readRecipe } from '../../recipe.ts';
import { fuseFusion } from './fuse-fusion.ts';
import { fusionFunction } from './fusion-function.ts';

interface Shape {
  readonly batch: number;
  readonly positions: number;
  readonly width: number;
  readonly heads: number;
  readonly tokens: number;
}

interface Case extends Shape {
  /** The standard deviation of the scores, roughly. */
  readonly spread: number;
  readonly maskedTokens: 'none' | 'some' | 'all';
  readonly maskedPositions: 'none' | 'some' | 'all';
  readonly seed: number;
}

const EXAMPLE: Case = {
  batch: 1,
  positions: 300,
  width: 64,
  heads: 2,
  tokens: 5,
  spread: 1,
  maskedTokens: 'some',
  maskedPositions: 'some',
  seed: 3,
};

const masked = fc.constantFrom<Case['maskedTokens']>('none', 'some', 'all');
const cases: fc.Arbitrary<Case> = fc
  .record({
    batch: fc.constantFrom(1, 2),
    positions: fc.constantFrom(1, 2, 3, 7, 63, 64, 65, 255, 256, 257, 600),
    width: fc.constantFrom(1, 3, 4, 16, 17, 60, 64, 100, 128),
    heads: fc.constantFrom(1, 2, 3),
    tokens: fc.constantFrom(1, 2, 15, 16, 17, 33, 64, 189, 257),
    spread: fc.constantFrom(0.01, 1, 4, 100),
    maskedTokens: masked,
    maskedPositions: masked,
    seed: fc.integer(),
  })
  // Floats next to −1e9 are 64 apart: larger scores would be rounded to one or the other of two masked scores.
  .map((each) => {
    const isMasked = each.maskedTokens === 'all' || each.maskedPositions === 'all';
    return isMasked ? { ...each, spread: Math.min(each.spread, 4) } : each;
  });

const X_ZERO = 117;
const X_SCALE = 1 / 64;
const SCORE_ZERO = 5;
const WEIGHT_SCALE = 1 / 255;
const IMAGE_SCALE = 1 / 32;
const MASKED = -1e9;
/** The kernels quantize the weights of so many positions at a time (kernels/fusion_attention.h). */
const BLOCK = 256;

/** A model of the operator alone. The scale of the scores, `scores_scale`, is an input. */
function operator(): Model {
  const b = new GraphBuilder('fusion attention');
  b.define(fusionFunction({ hasNorm: false }));
  const input = (name: string, type: DataType, rank: number) =>
    b.input(
      name,
      type,
      Array.from({ length: rank }, () => undefined),
    );
  const number = (name: string, data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, [], data));
  const results = b.call(
    DOMAIN,
    FUSION_ATTENTION,
    [
      input('x', DataType.UINT8, 3),
      number('x.scale', Float32Array.of(X_SCALE)),
      number('x.zero', Uint8Array.of(X_ZERO)),
      input('to_scores', DataType.INT8, 3),
      input('scores_scale', DataType.FLOAT, 0),
      number('scores.zero', Int8Array.of(SCORE_ZERO)),
      input('token_bias', DataType.FLOAT, 4),
      input('position_bias', DataType.FLOAT, 3),
      number('weight.scale', Float32Array.of(WEIGHT_SCALE)),
      number('weight.zero', Uint8Array.of(0)),
      input('to_image', DataType.INT8, 3),
      number('image.scale', Float32Array.of(IMAGE_SCALE)),
      number('image.zero', Int8Array.of(-3)),
      input('image_bias', DataType.FLOAT, 1),
    ],
    {},
    2,
  );
  for (const [at, name] of ['image', 'text'].entries())
    b.output(name, results[at] as Value, [undefined, undefined, undefined]); // two results
  return b.finish();
}

const product = (shape: readonly number[]) => shape.reduce((count, size) => count * size, 1);

/** −1e9 or a number from −1 to 1 for each of `rows` rows of `count` numbers. */
function biases(rows: number, count: number, which: Case['maskedTokens'], seed: number): Float32Array {
  const kept = noise(rows * count, seed);
  return kept.map((x, at) => (which === 'all' || (which === 'some' && at % count > count / 2) ? MASKED : x));
}

function feedsOf({ batch, positions, width, heads, tokens, spread, seed, ...masks }: Case): Feeds {
  const bytes = (shape: number[], type: DataType.UINT8 | DataType.INT8, own: number) => {
    const random = noise(product(shape), seed + own);
    const data =
      type === DataType.UINT8
        ? Uint8Array.from(random, (x) => X_ZERO + x * 100)
        : Int8Array.from(random, (x) => x * 127);
    return tensor(data, shape, type);
  };
  const scale = spread / (X_SCALE * 58 * 73 * Math.sqrt(width)); // by the deviations of both factors
  return {
    x: bytes([batch, positions, width], DataType.UINT8, 1),
    to_scores: bytes([batch, width, heads * tokens], DataType.INT8, 2),
    scores_scale: floats(Float32Array.of(scale), []),
    token_bias: floats(biases(batch * heads, tokens, masks.maskedTokens, seed + 3), [batch, 1, heads, tokens]),
    position_bias: floats(biases(batch, positions, masks.maskedPositions, seed + 4), [batch, 1, positions]),
    to_image: bytes([batch, heads * tokens, width], DataType.INT8, 5),
    image_bias: floats(noise(width, seed + 6), [width]),
  };
}

interface Results {
  readonly image: Float32Array;
  readonly text: Float32Array;
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Results> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return { image: floatData(outputs.get('image')).slice(), text: floatData(outputs.get('text')).slice() };
}

/**
 * The most by which a row of the text's results may differ from that of exact weights. A weight of a block is
 * off by at most half of 1/255 of the largest one there, and a number differs from the mean of all by at most the range R of
 * x: |Σ (w' − w)(x − mean) / Σ w'| ≤ Σ over blocks (positions · largest weight / 510) · R / Σ w'.
 */
function textTolerance({ positions, width, heads, tokens }: Case, feeds: Feeds, row: number): number {
  const [x, toScores, scale, bias] = ['x', 'to_scores', 'scores_scale', 'position_bias'].map(
    (name) => Array.from(feeds[name]?.data as Float32Array), // numbers, as made above
  );
  const columns = heads * tokens;
  const [image, column] = [Math.floor(row / columns), row % columns];
  const factors = Array.from(
    { length: width },
    (_, k) => (toScores?.[(image * width + k) * columns + column] ?? 0) - SCORE_ZERO,
  );
  const scores = Array.from({ length: positions }, (_, position) => {
    const at = image * positions + position;
    const sum = factors.reduce((total, factor, k) => total + ((x?.[at * width + k] ?? 0) - X_ZERO) * factor, 0);
    // The mask's number is so large that floats next to it are 64 apart.
    return Math.fround(sum * X_SCALE * (scale?.[0] ?? 0) + (bias?.[at] ?? 0));
  });
  const maximum = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - maximum));
  let error = 0;
  for (let start = 0; start < positions; start += BLOCK) {
    const block = weights.slice(start, start + BLOCK);
    error += (block.length * Math.max(...block)) / 510;
  }
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const range = X_SCALE * 200;
  return total > error ? Math.min((error * range) / (total - error), range) : range;
}

/**
 * A model of the most by which the image's results may differ: 1e-5 beside a step of each weight whose error may move it across the
 * middle between two bytes. Every other weight is one certain byte. The error of a score is that of a sum of `width` products in
 * single precision (Higham, Accuracy and Stability of Numerical Algorithms, section 3.1), and the relative error of a weight
 * twice that of the scores and 2e-6 of the exponentials and their sum.
 */
function imageTolerance({ width }: Shape): Model {
  const b = new GraphBuilder('tolerance of the image');
  const one = (type: string, inputs: readonly Value[]) => b.call('', type, inputs)[0] as Value; // one result
  const number = (name: string, data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, [], data));
  const bytes = (name: string, type: DataType) => b.input(name, type, [undefined, undefined, undefined]);
  const x = one('DequantizeLinear', [
    bytes('x', DataType.UINT8),
    number('x.scale', Float32Array.of(X_SCALE)),
    number('x.zero', Uint8Array.of(X_ZERO)),
  ]);
  const toScores = one('DequantizeLinear', [
    bytes('to_scores', DataType.INT8),
    b.input('scores_scale', DataType.FLOAT, []),
    number('scores.zero', Int8Array.of(SCORE_ZERO)),
  ]);
  const toImage = one('DequantizeLinear', [
    bytes('to_image', DataType.INT8),
    number('image.scale', Float32Array.of(IMAGE_SCALE)),
    number('image.zero', Int8Array.of(-3)),
  ]);
  const tokenBias = b.input('token_bias', DataType.FLOAT, [undefined, 1, undefined, undefined]);
  const byHead = (scores: Value) => b.reshape(scores, [0, 0, b.dimension(tokenBias, 2), -1]);
  const steps = b.mul(b.softmax(b.add(byHead(b.matmul(x, toScores)), tokenBias)), 1 / WEIGHT_SCALE);
  const magnitudes = b.matmul(one('Abs', [x]), one('Abs', [toScores]));
  const scoreError = b.mul(b.add(b.reduceMax(byHead(magnitudes), [-1]), 1), (width + 4) * 2 ** -24);
  const error = b.mul(steps, b.add(b.mul(scoreError, 2), 2e-6));
  const fromMiddle = one('Abs', [b.sub(b.sub(steps, one('Floor', [steps])), 0.5)]);
  const uncertain = b.reshape(b.cast(one('Less', [fromMiddle, error]), DataType.FLOAT), [0, 0, -1]);
  b.output('most', b.add(b.mul(b.matmul(uncertain, one('Abs', [toImage])), WEIGHT_SCALE), 1e-5));
  return b.finish();
}

/** The largest ratio of a difference of the image's results and of the most by which they may differ. */
async function excessOf(found: Results, expected: Results, each: Shape, feeds: Feeds): Promise<number> {
  const needed = only(feeds, ['x', 'to_scores', 'scores_scale', 'to_image', 'token_bias']);
  await using session = await Session.create(modelBytes(imageTolerance(each)));
  using outputs = await session.run(needed);
  const most = floatData(outputs.get('most'));
  expect(found.image).toHaveLength(expected.image.length);
  return expected.image.reduce((largest, y, at) => {
    const ratio = Math.abs((found.image[at] ?? Number.NaN) - y) / (most[at] ?? Number.NaN);
    return Number.isNaN(largest) || ratio <= largest ? largest : ratio;
  }, 0);
}

async function expectClose(found: Results, expected: Results, each: Case, feeds: Feeds): Promise<void> {
  expect(await excessOf(found, expected, each, feeds)).toBeLessThanOrEqual(1);
  expect(found.text).toHaveLength(expected.text.length);
  const rows = each.batch * each.heads * each.tokens;
  // The bound takes time, so that it is computed for some of the rows.
  for (let row = 0; row < rows; row += Math.ceil(rows / 8)) {
    const part = ({ text }: Results) => text.subarray(row * each.width, (row + 1) * each.width);
    const differences = part(found).map((y, at) => Math.abs(y - (part(expected)[at] ?? Number.NaN)));
    expect(Math.max(...differences)).toBeLessThan(textTolerance(each, feeds, row) + 1e-3);
  }
}

// On some processors the kernels run only where an instruction set is asked for.
beforeEach(() => {
  process.env.DINO8_KERNEL_PATH = KERNEL_PATHS.find(hasKernelPath) ?? '';
});
afterEach(() => {
  delete process.env.DINO8_KERNEL_PATH;
});

describe.runIf(hasKernels)('the kernel', () => {
  const paths = KERNEL_PATHS.filter(hasKernelPath);

  test.for(paths)('computes what the body does, to the rounding of weights to bytes, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    await fc.assert(
      fc.asyncProperty(cases, async (each) => {
        const feeds = feedsOf(each);
        await expectClose(await run(operator(), feeds, withKernels), await run(operator(), feeds), each, feeds);
      }),
      { numRuns: 10 },
    );
  });

  // The cases where one exponential of each score does not serve both softmaxes (kernels/fusion_weights.h).
  test.for<Partial<Case>>([
    { spread: 100 },
    { maskedTokens: 'all', maskedPositions: 'none', tokens: 17 },
    { maskedTokens: 'none', maskedPositions: 'all', tokens: 17 },
  ])('computes what the body does where scores are far apart or rounded beside a mask: %j', async (changes) => {
    const each = { ...EXAMPLE, ...changes };
    const feeds = feedsOf(each);
    await expectClose(await run(operator(), feeds, withKernels), await run(operator(), feeds), each, feeds);
  });

  test('errs by far less than that on average', async () => {
    const each: Case = { ...EXAMPLE, positions: 5000, tokens: 20, maskedPositions: 'none' };
    const feeds = feedsOf(each);
    const [found, expected] = [await run(operator(), feeds, withKernels), await run(operator(), feeds)];
    expect(largestDifference(found.text, expected.text)).toBeLessThan(X_SCALE / 10);
  });

  test('keeps the weight of many positions beside an outlier', async () => {
    // One score is 9 above 19,999 equal ones, whose weights would all be 0 as bytes beside it.
    const shape = { ...EXAMPLE, positions: 20_000, width: 4, heads: 1, tokens: 1, maskedTokens: 'none' } as const;
    const x = new Uint8Array(80_000).fill(X_ZERO + 10);
    x.fill(X_ZERO + 100, 0, 4);
    const bias = new Float32Array(20_000);
    bias[0] = 9;
    const feeds = {
      ...feedsOf({ ...shape, spread: 1e-9 }),
      x: tensor(x, [1, 20_000, 4]),
      position_bias: floats(bias, [1, 1, 20_000]),
    };
    const share = Math.exp(9) / (Math.exp(9) + 19_999);
    const { text } = await run(operator(), feeds, withKernels);
    // A block of 256 positions is computed beside the outlier, and its 255 other weights vanish.
    for (const y of text) expect(Math.abs(y / X_SCALE - (100 * share + 10 * (1 - share)))).toBeLessThan(1);
  });

  test('gives no image and zeros for the text where there are no positions', async () => {
    const { image, text } = await run(operator(), feedsOf({ ...EXAMPLE, positions: 0 }), withKernels);
    expect(image).toHaveLength(0);
    expect(text).toEqual(new Float32Array(10 * 64));
  });

  test('gives the same results whatever the number of threads is', async () => {
    const feeds = feedsOf({ ...EXAMPLE, positions: 5000 });
    const [one, three] = [1, 3].map((threads) => run(operator(), feeds, { ...withKernels, threads }));
    expect(await three).toEqual(await one);
  });

  test('uses a batch of 1 for all images', async () => {
    const feeds = { ...feedsOf({ ...EXAMPLE, batch: 3 }), ...only(feedsOf(EXAMPLE), ['to_scores', 'position_bias']) };
    const [found, expected] = [await run(operator(), feeds, withKernels), await run(operator(), feeds)];
    expect(found.text).toHaveLength(3 * 10 * 64);
    expect(await excessOf(found, expected, EXAMPLE, feeds)).toBeLessThanOrEqual(1);
    expect(largestDifference(found.text, expected.text)).toBeLessThan(X_SCALE);
  });

  test.for(paths)('takes infinities and numbers that are none, by %s', async (path) => {
    process.env.DINO8_KERNEL_PATH = path;
    const feeds = feedsOf(EXAMPLE);
    const odd = [Number.NaN, Infinity, -Infinity, 3e38, -3e38, 1e-45];
    for (const name of ['token_bias', 'position_bias', 'image_bias'])
      for (const value of odd) {
        const { shape, data } = feeds[name] as Tensor; // made above
        const some = Float32Array.from(data as Float32Array, (x, at) => (at % 3 === 0 ? value : x));
        const all = new Float32Array(data.length).fill(value);
        for (const changed of [some, all]) {
          const { image, text } = await run(operator(), { ...feeds, [name]: floats(changed, shape) }, withKernels);
          expect([image.length, text.length]).toEqual([300 * 64, 10 * 64]);
        }
      }
  });

  test.for([
    ['x', [1, 300, 63], DataType.UINT8, /the matrix to the scores is not/],
    ['to_scores', [1, 64, 9], DataType.INT8, /the matrix to the scores is not/],
    ['to_scores', [2, 64, 10], DataType.INT8, undefined],
    ['to_image', [3, 10, 64], DataType.INT8, undefined],
    ['to_image', [1, 10, 63], DataType.INT8, /the matrix to the image is not/],
    ['image_bias', [63], DataType.FLOAT, /the image's bias is not/],
    ['token_bias', [1, 1, 5, 3], DataType.FLOAT, /the matrix to the scores is not/],
    ['token_bias', [1, 2, 2, 5], DataType.FLOAT, /the tokens' bias is not/],
    ['token_bias', [1, 1, 2, 0], DataType.FLOAT, /the tokens' bias is not/],
    ['position_bias', [1, 1, 299], DataType.FLOAT, /the positions' bias is not/],
    ['scores_scale', [], DataType.FLOAT, /not one finite number above 0/],
  ] as const)('checks the shape of %s: %j', async ([name, shape, type, message]) => {
    const data = { [DataType.UINT8]: Uint8Array, [DataType.INT8]: Int8Array, [DataType.FLOAT]: Float32Array }[type];
    const feeds = { ...feedsOf(EXAMPLE), [name]: tensor(new data(product(shape)), shape, type) };
    if (message) await expect(run(operator(), feeds, withKernels)).rejects.toThrow(message);
    else expect((await run(operator(), feeds, withKernels)).text).toHaveLength((shape[0] ?? 0) * 10 * 64);
  });

  test('refuses different numbers of images', async () => {
    const feeds = { ...feedsOf({ ...EXAMPLE, batch: 2 }), ...only(feedsOf({ ...EXAMPLE, batch: 3 }), ['to_scores']) };
    await expect(run(operator(), feeds, withKernels)).rejects.toThrow(/different numbers of images/);
  });
});

const only = (feeds: Feeds, names: readonly string[]): Feeds =>
  Object.fromEntries(Object.entries(feeds).filter(([name]) => names.includes(name)));

/** The nodes of a fusion layer in a quantized model; `variant` says what the text reads. */
function separate(variant: 'float' | 'bytes' | 'unmasked'): Model {
  const { width, heads } = EXAMPLE;
  const b = new GraphBuilder('separate');
  const one = (type: string, inputs: readonly Value[]) => b.call('', type, inputs)[0] as Value; // one result
  const range = (name: string, scale: number, zero: Uint8Array | Int8Array) => [
    b.initializer(makeTensor(`${name}.scale`, [], Float32Array.of(scale))),
    b.initializer(makeTensor(`${name}.zero`, [], zero)),
  ];
  const pair = (value: Value, parameters: readonly Value[]) =>
    one('DequantizeLinear', [one('QuantizeLinear', [value, ...parameters]), ...parameters]);
  const x = b.input('x', DataType.FLOAT, ['batch', 'positions', width]);
  const xBytes = pair(x, range('x', X_SCALE, Uint8Array.of(X_ZERO)));
  const toScores = b.input('to_scores', DataType.FLOAT, ['batch', width, 'columns']);
  const scores = b.matmul(xBytes, pair(toScores, range('to_scores', 1 / 512, Int8Array.of(SCORE_ZERO))));
  const tokenBias = b.input('token_bias', DataType.FLOAT, ['batch', 1, heads, 'tokens']);
  const softmax = b.softmax(b.add(b.reshape(scores, [0, 0, heads, -1]), tokenBias));
  const weightRange = range('weights', WEIGHT_SCALE, Uint8Array.of(0));
  const weights = b.reshape(one('QuantizeLinear', [softmax, ...weightRange]), [0, 0, -1]);
  const toImage = pair(
    b.input('to_image', DataType.FLOAT, ['batch', 'columns', width]),
    range('to_image', 1 / 100, Int8Array.of(-3)),
  );
  const image = b.matmul(one('DequantizeLinear', [weights, ...weightRange]), toImage);
  b.output('image', b.add(image, b.initializer(makeTensor('bias', [width], noise(width, 9)))));
  const positionBias = b.input('position_bias', DataType.FLOAT, ['batch', 1, 'positions']);
  const transposed = b.transpose(scores, [0, 2, 1]);
  const overPositions = b.softmax(variant === 'unmasked' ? transposed : b.add(transposed, positionBias));
  const bytes = variant === 'bytes';
  const gathered = bytes
    ? b.matmul(
        pair(overPositions, range('over_positions', 1 / 255, Uint8Array.of(0))),
        pair(x, range('x8', X_SCALE, Int8Array.of(X_ZERO - 128))),
      )
    : b.matmul(overPositions, x);
  b.output('text', gathered);
  return b.finish();
}

/** Numbers that their bytes represent exactly, so that nothing depends on whether the text reads floats. */
function separateFeeds(): Feeds {
  const { positions, width, heads, tokens } = EXAMPLE;
  const grid = (shape: number[], scale: number, seed: number) =>
    floats(
      noise(product(shape), seed).map((x) => Math.round(x * 100) * scale),
      shape,
    );
  return {
    x: grid([1, positions, width], X_SCALE, 1),
    to_scores: grid([1, width, heads * tokens], 1 / 512, 2),
    token_bias: floats(biases(heads, tokens, 'some', 3), [1, 1, heads, tokens]),
    position_bias: floats(biases(1, positions, 'some', 4), [1, 1, positions]),
    to_image: grid([1, heads * tokens, width], 1 / 100, 5),
  };
}

describe('the pass', () => {
  test.for(['float', 'unmasked'] as const)('makes one operator that computes the same: %s', async (variant) => {
    const model = separate(variant);
    const fused = copyModel(model);
    expect(fuseFusion(fused)).toBe(1);
    const feeds = separateFeeds();
    const [before, body] = [await run(model, feeds), await run(fused, feeds)];
    expect(largestDifference(body.image, before.image)).toBeLessThan(2 * WEIGHT_SCALE * 1.28);
    expect(largestDifference(body.text, before.text)).toBeLessThan(1e-4);
    if (!hasKernels) return;
    const kernel = await run(fused, feeds, withKernels);
    expect(largestDifference(kernel.image, before.image)).toBeLessThan(2 * WEIGHT_SCALE * 1.28);
    expect(largestDifference(kernel.text, before.text)).toBeLessThan(X_SCALE);
    const profile = await profileRun(modelBytes(fused), withKernels, feeds);
    expect(profile.map(({ operator }) => operator)).toContain(FUSION_ATTENTION);
    expect(profile.map(({ operator }) => operator)).not.toContain('Softmax');
  });

  test('takes the bytes of the image for the text, where a recipe quantizes its side too', () => {
    const fused = separate('bytes');
    expect(fuseFusion(fused)).toBe(1);
    const operators = fused.graph.node.map(({ opType }) => opType);
    expect(operators.filter((operator) => /MatMul|Softmax|DequantizeLinear/.test(operator))).toEqual([]);
  });

  test.for([
    ['Softmax', 0],
    ['MatMul', 0],
    ['QuantizeLinear', 2],
  ] as const)('leaves the nodes as they are where something else reads a result of %s', ([operator, at]) => {
    const model = separate('float');
    const b = new GraphBuilder('read', model);
    const node = model.graph.node.filter(({ opType }) => opType === operator)[at];
    b.output('read', b.cast(b.value(node?.output[0] ?? ''), DataType.FLOAT));
    expect(fuseFusion(b.finish())).toBe(0);
  });

  test('leaves the nodes as they are where the text reads other values than the image', () => {
    const model = separate('float');
    const gather = model.graph.node.findLast(({ opType }) => opType === 'MatMul');
    if (gather) gather.input[1] = 'other';
    const b = new GraphBuilder('other', model);
    b.input('other', DataType.FLOAT, ['batch', 'positions', EXAMPLE.width]);
    expect(fuseFusion(b.finish())).toBe(0);
  });
});

describe('the bundled model', () => {
  const FEATURES = [
    'model.encoder.layers.1.fusion_layer/Add:',
    'model.encoder.layers.1.text_enhancer_layer.layer_norm_after/LayerNormalization:',
  ];

  /** The features of the image and the text behind the last fusion layer. */
  async function features(of: Model, feeds: Feeds, options = {}): Promise<Float32Array[]> {
    const b = new GraphBuilder('features', of);
    for (const [at, name] of FEATURES.entries()) b.output(`features_${at}`, b.value(name));
    await using session = await Session.create(modelBytes(b.finish()), options);
    using outputs = await session.run(feeds);
    return FEATURES.map((_, at) => floatData(outputs.get(`features_${at}`)).slice());
  }

  const meanDifference = (a: Float32Array | undefined, b: Float32Array | undefined) =>
    (a?.reduce((sum, x, at) => sum + Math.abs(x - (b?.[at] ?? Number.NaN)), 0) ?? Number.NaN) / (a?.length ?? 1);

  test('changes by the kernels less than by its quantization', async () => {
    const source = await readPackage(join(packageRoot, 'assets/nano'));
    const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 1, 0);
    // The recipe \`fast\` keeps the text's side in float, \`full\` quantizes every product.
    const recipe = await readRecipe('full');
    const { statistics } = await calibrateDataset(source, valuesToObserve(source.model, recipe), plan);
    const { model: quantized } = await quantizeModel(source.model, recipe, { statistics });
    expect(quantized.graph.node.filter(({ opType }) => opType === FUSION_ATTENTION)).toHaveLength(2);
    const samples = calibrationSamples(source, { items: plan.items, key: 'one' }).samples();
    const { value: sample } = await samples[Symbol.asyncIterator]().next();
    if (!sample) throw new Error('the plan has an image');
    const expected = await features(source.model, sample.feeds);
    const body = await features(quantized, sample.feeds);
    const kernel = hasKernels ? await features(quantized, sample.feeds, withKernels) : body;
    for (const at of FEATURES.keys())
      expect(meanDifference(kernel[at], body[at])).toBeLessThan(meanDifference(body[at], expected[at]));
  });
});
