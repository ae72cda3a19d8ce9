/** The operator of attention between an image and a text with what a layer does around it. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import {
  AND_GATHERED_SUM,
  AND_SUM,
  DOMAIN,
  FUSION_ATTENTION,
  NORM_FUSION_ATTENTION_ADD,
  QUANTIZED,
} from '../../../onnx/dino8-operators.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floats, integers, tensor } from '../../../runtime/tensor.ts';
import { largestDifference } from '../../../testing/difference.ts';
import { hasKernelPath, hasKernels, withKernels } from '../../../testing/kernels.ts';
import { noise } from '../../../testing/noise.ts';
import { fuseFusionNorms } from './fuse-fusion-norm.ts';
import { fuseFusionSums } from './fuse-fusion-sum.ts';
import { fusionFunction } from './fusion-function.ts';
import { quantizeResults } from './quantize-results.ts';

const HEADS = 2;
const TOKENS = 5;
const POSITIONS = 300;
const X_SCALE = 1 / 32;

interface Layer {
  readonly width: number;
  /** Whether the sum is an output as floats too. */
  readonly isRead?: boolean;
  /** Whether the normalized image is an output. */
  readonly isNormRead?: boolean;
  /** Whether the attention takes another scale of x than it was quantized with. */
  readonly hasOtherScale?: boolean;
  /** What is added to the sum for bytes of other positions, if there are any: an input, or a value that depends on the text. */
  readonly addend?: 'input' | 'text';
  /** The last dimension of the addend, if it is not the width. */
  readonly addendWidth?: number;
  /** The size of a row of the table that the addend's rows are put together from, if they are. */
  readonly tableSize?: number;
  /** Whether the table is one for all images. */
  readonly hasOneTable?: boolean;
}

/** x → LayerNormalization → bytes → attention, then the sum with the normalized x, whose bytes are an output. */
function layer(parts: Layer): Model {
  const { width, isRead, isNormRead, hasOtherScale, addend, addendWidth = width, tableSize, hasOneTable } = parts;
  const b = new GraphBuilder('layer');
  b.define(fusionFunction({ hasNorm: false }));
  const number = (name: string, data: Float32Array | Uint8Array | Int8Array) =>
    b.initializer(makeTensor(name, [], data));
  const range = (name: string, scale: number, zero: Uint8Array | Int8Array) =>
    [number(`${name}.scale`, Float32Array.of(scale)), number(`${name}.zero`, zero)] as const;
  const vector = (name: string, seed: number) =>
    b.initializer(
      makeTensor(
        name,
        [width],
        noise(width, seed).map((x) => x + 0.5),
      ),
    );
  const columns = HEADS * TOKENS;
  // The number of rows that are put together is not known before the model runs.
  const x = b.input('x', DataType.FLOAT, ['batch', tableSize ? undefined : 'positions', width]);
  const normalized = b.layerNormalization(x, vector('scale', 1), vector('bias', 2), 1e-3);
  const xRange = range('x', X_SCALE, Uint8Array.of(117));
  const [bytes] = b.call('', 'QuantizeLinear', [normalized, ...xRange]);
  const [image, text] = b.call(
    DOMAIN,
    FUSION_ATTENTION,
    [
      bytes as Value, // one result, and two below
      ...(hasOtherScale ? range('other', 2 * X_SCALE, Uint8Array.of(117)) : xRange),
      b.input('to_scores', DataType.INT8, [1, width, columns]),
      ...range('scores', 1 / 512, Int8Array.of(5)),
      b.input('token_bias', DataType.FLOAT, [1, 1, HEADS, TOKENS]),
      b.initializer(makeTensor('no_bias', [1, 1, 1], new Float32Array(1))),
      ...range('weights', 1 / 255, Uint8Array.of(0)),
      b.input('to_image', DataType.INT8, [1, columns, width]),
      ...range('image', 1 / 32, Int8Array.of(-3)),
      vector('image_bias', 3),
    ],
    {},
    2,
  ) as [Value, Value];
  const sum = b.add(normalized, image);
  const [result] = b.call('', 'QuantizeLinear', [sum, ...range('result', 1 / 16, Uint8Array.of(100))]);
  b.output('text', text);
  b.output('bytes', b.reshape(result as Value, [-1]));
  if (isRead) b.output('sum', b.reshape(sum, [-1]));
  if (isNormRead) b.output('normalized', normalized);
  const gathered = (size: number) => {
    const images = hasOneTable ? 1 : 'batch';
    const table = b.input('table', DataType.FLOAT, [images, 'rows', size]);
    return b.reshape(b.gatherRows(table, b.input('places', DataType.INT64, [images, 'places'])), [0, -1, width]);
  };
  if (addend) {
    const input = tableSize ? gathered(tableSize) : b.input('addend', DataType.FLOAT, [1, 'positions', addendWidth]);
    const placed = b.add(sum, addend === 'text' ? b.mul(input, b.reduceMax(text, [1])) : input);
    const [placedBytes] = b.call('', 'QuantizeLinear', [placed, ...range('placed', 1 / 20, Uint8Array.of(90))]);
    b.output('placed', b.reshape(placedBytes as Value, [-1]));
  }
  return b.finish();
}

function feedsOf(width: number, batch = 1, hasAddend = false): Feeds {
  const bytes = (shape: number[], seed: number) => {
    const count = shape.reduce((product, size) => product * size, 1);
    return tensor(
      Int8Array.from(noise(count, seed), (x) => x * 127),
      shape,
    );
  };
  return {
    x: floats(
      noise(batch * POSITIONS * width, 4).map((x) => 3 * x + 1),
      [batch, POSITIONS, width],
    ),
    to_scores: bytes([1, width, HEADS * TOKENS], 5),
    token_bias: floats(noise(HEADS * TOKENS, 6), [1, 1, HEADS, TOKENS]),
    to_image: bytes([1, HEADS * TOKENS, width], 7),
    ...(hasAddend ? { addend: floats(noise(POSITIONS * width, 8), [1, POSITIONS, width]) } : {}),
  };
}

async function run(model: Model, feeds: Feeds, options = {}): Promise<Record<string, number[]>> {
  await using session = await Session.create(modelBytes(model), options);
  using outputs = await session.run(feeds);
  return Object.fromEntries(outputs.names.map((name) => [name, [...outputs.get(name).data].map(Number)]));
}

const operatorsOf = ({ graph }: Model) => graph.node.map(({ opType }) => opType);

/** The layer as one operator that writes bytes. */
function fused(model: Model): Model {
  const copy = copyModel(model);
  expect(fuseFusionNorms(copy)).toBe(1);
  expect(operatorsOf(copy)).toContain(NORM_FUSION_ATTENTION_ADD);
  expect(quantizeResults(copy)).toBe(1);
  expect(operatorsOf(copy)).toContain(`${NORM_FUSION_ATTENTION_ADD}${QUANTIZED}`);
  expect(operatorsOf(copy).filter((name) => /LayerNorm|Add$|QuantizeLinear/.test(name))).toEqual([]);
  return copy;
}

/** The same with the bytes of a further sum, by the operator whose name ends so. */
function fusedWithSum(model: Model, end = AND_SUM): Model {
  const copy = copyModel(model);
  expect(fuseFusionNorms(copy)).toBe(1);
  expect(quantizeResults(copy)).toBe(2);
  expect(fuseFusionSums(copy)).toBe(1);
  expect(operatorsOf(copy)).toContain(`${NORM_FUSION_ATTENTION_ADD}${QUANTIZED}${end}`);
  expect(operatorsOf(copy).filter((name) => /LayerNorm|Add(Quantized)?$|QuantizeLinear/.test(name))).toEqual([]);
  return copy;
}

describe('the layer as one operator', () => {
  test('has a body that computes the same to the bit', async () => {
    const model = layer({ width: 64, isRead: true });
    expect(await run(fused(model), feedsOf(64))).toEqual(await run(model, feedsOf(64)));
  });

  test.runIf(hasKernels).for([
    { width: 64, batch: 1, isRead: true },
    { width: 256, batch: 2, isRead: false },
    { width: 60, batch: 1, isRead: true },
    { width: 17, batch: 2, isRead: false },
    { width: 3, batch: 1, isRead: true },
  ])('has a kernel that computes what the separate operators do: %j', async ({ width, batch, isRead }) => {
    const model = layer({ width, isRead });
    const feeds = feedsOf(width, batch);
    const [found, expected] = [await run(fused(model), feeds, withKernels), await run(model, feeds, withKernels)];
    // ONNX Runtime takes the numbers of a row in the order that the kernel assumes where it has AVX2.
    if (width % 16 === 0 && hasKernelPath('avx2')) expect(found).toEqual(expected);
    for (const [name, values] of Object.entries(expected)) {
      expect(found[name]).toHaveLength(values.length);
      // A number of x that is halfway between two bytes may go to the other one.
      const difference = largestDifference(Float32Array.from(found[name] ?? []), Float32Array.from(values));
      expect(difference).toBeLessThan(name === 'bytes' ? 2 : 2 * X_SCALE);
    }
  });

  test.for<Partial<Layer>>([{ isNormRead: true }, { hasOtherScale: true }])(
    'is not made where its parts are needed apart: %j',
    (changes) => {
      expect(fuseFusionNorms(layer({ width: 64, ...changes }))).toBe(0);
    },
  );

  test.runIf(hasKernels)('refuses a normalization of another size', async () => {
    const model = fused(layer({ width: 64 }));
    const scale = model.graph.initializer.find(({ name }) => name === 'scale');
    if (scale) Object.assign(scale, makeTensor('scale', [32], new Float32Array(32)));
    await expect(run(model, feedsOf(64), withKernels)).rejects.toThrow(/have another size than the width/);
  });

  test('writes the bytes of a sum with another value as the separate operators do', async () => {
    const model = layer({ width: 64, addend: 'input' });
    expect(await run(fusedWithSum(model), feedsOf(64, 1, true))).toEqual(await run(model, feedsOf(64, 1, true)));
  });

  test.runIf(hasKernels).for([
    { width: 64, batch: 1, isRead: true },
    { width: 256, batch: 2, isRead: false },
    { width: 17, batch: 2, isRead: false },
    { width: 3, batch: 1, isRead: true },
  ])('has a kernel that writes the bytes of that sum: %j', async ({ width, batch, isRead }) => {
    const model = layer({ width, isRead, addend: 'input' });
    const [before, feeds] = [copyModel(model), feedsOf(width, batch, true)];
    fuseFusionNorms(before);
    quantizeResults(before);
    // AddQuantized adds and rounds in the same way.
    expect(await run(fusedWithSum(model), feeds, withKernels)).toEqual(await run(before, feeds, withKernels));
  });

  /** A table of nine rows for each image, and places in it, from its end on as well. */
  const withTable = (width: number, size: number, batch: number): Feeds => ({
    ...feedsOf(width, batch),
    table: floats(noise(batch * 9 * size, 8), [batch, 9, size]),
    places: integers(
      Array.from({ length: (batch * POSITIONS * width) / size }, (_, at) => ((at * 7) % 18) - 9),
      [batch, (POSITIONS * width) / size],
    ),
  });

  test('reads the rows of another value from a table as the separate operators do', async () => {
    const [model, feeds] = [layer({ width: 64, addend: 'input', tableSize: 32 }), withTable(64, 32, 2)];
    expect(await run(fusedWithSum(model, AND_GATHERED_SUM), feeds)).toEqual(await run(model, feeds));
  });

  test.runIf(hasKernels).for([
    { width: 64, size: 32, batch: 1, isRead: true },
    { width: 256, size: 256, batch: 2, isRead: false },
    { width: 51, size: 17, batch: 2, isRead: true },
    { width: 3, size: 1, batch: 1, isRead: false },
  ])('has a kernel that reads a table: %j', async ({ width, size, batch, isRead }) => {
    const model = layer({ width, isRead, addend: 'input', tableSize: size });
    const [before, feeds] = [copyModel(model), withTable(width, size, batch)];
    fuseFusionNorms(before);
    quantizeResults(before);
    const after = fusedWithSum(model, AND_GATHERED_SUM);
    expect(operatorsOf(after)).not.toContain('GatherND');
    expect(await run(after, feeds, withKernels)).toEqual(await run(before, feeds, withKernels));
  });

  test('a value of a table for all images stays a value of its own', () => {
    const model = fusedWithSum(layer({ width: 64, addend: 'input', tableSize: 32, hasOneTable: true }));
    expect(operatorsOf(model)).toContain('GatherND');
  });

  test.runIf(hasKernels).for([
    { change: { places: [9] }, message: /a place is not one of the table's rows/ },
    { change: { places: [-10] }, message: /a place is not one of the table's rows/ },
    { change: { count: 4 }, message: /the places in the table are not/ },
  ])('refuses places that are none: %j', async ({ change: { places = [0], count = 2 * POSITIONS }, message }) => {
    const model = fusedWithSum(layer({ width: 64, addend: 'input', tableSize: 32 }), AND_GATHERED_SUM);
    const wrong = integers([...new Array(count - 1).fill(0), ...places], [1, count]);
    await expect(run(model, { ...withTable(64, 32, 1), places: wrong }, withKernels)).rejects.toThrow(message);
  });

  test.for<Partial<Layer>>([
    { addend: 'text' }, // which needs the attention's result
    { addend: 'input', addendWidth: 1 },
  ])('leaves a sum apart that it cannot write: %j', (changes) => {
    const model = layer({ width: 64, ...changes });
    fuseFusionNorms(model);
    quantizeResults(model);
    expect(fuseFusionSums(model)).toBe(0);
  });

  test.runIf(hasKernels)('refuses to add a value of other positions', async () => {
    const feeds = { ...feedsOf(64, 1, true), addend: floats(noise(128, 8), [1, 2, 64]) };
    const model = fusedWithSum(layer({ width: 64, addend: 'input' }));
    await expect(run(model, feeds, withKernels)).rejects.toThrow(/is not \[batch, positions, width\]/);
  });
});
