/** Layers and products by weights of each head as one layer. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../base/package-root.ts';
import { planCalibration } from '../../../data/calibration-plan.ts';
import { readDataset } from '../../../data/datasets/read-dataset.ts';
import { calibrationFeeds } from '../../../detect/calibration-feeds.ts';
import { type ModelPackage, readPackage } from '../../../models/package/package.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { calibrateDataset } from '../../../pipeline/calibrate-dataset.ts';
import { type Feeds, Session } from '../../../runtime/session.ts';
import { floats } from '../../../runtime/tensor.ts';
import { noise } from '../../../testing/noise.ts';
import type { Statistics } from '../../observe/calibrate.ts';
import type { Mode } from '../../operators/operator.ts';
import { plannedWeights, planQuantization, valuesToObserve } from '../../plan.ts';
import { readPlanSummary } from '../../plan-summary.ts';
import { quantizeModel } from '../../quantize.ts';
import { type Recipe, readRecipe } from '../../recipe.ts';
import type { RoundedWeight } from '../../weights.ts';
import { CONTRIB, INTEGER_PRODUCT, integerProductFunction } from './integer-product.ts';
import { lintModel } from './lint-ort-cpu.ts';
import { mergeHeadProducts } from './merge-head-products.ts';

const HEADS = 2;
const SIZE = 12;
const WIDTH = 16;
const INNER = HEADS * SIZE;

/**
 * The text's side of attention between image and text: a layer of x, by head, whose transposed rows weights and a bias of each head
 * are multiplied with, and another one with a factor for each column; then floats of each head through weights into a layer.
 */
function textSide(changes: { readonly isRowsRead?: boolean; readonly isSumRead?: boolean } = {}): Model {
  const b = new GraphBuilder('text');
  b.define(integerProductFunction());
  let seed = 1;
  const stored = (shape: number[], scale = 1) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const numbers = noise(count, seed++).map((value) => value * scale);
    return b.initializer(makeTensor(`stored_${seed}`, shape, numbers));
  };
  const one = (operator: string, inputs: readonly Value[], attributes = {}, domain = '') =>
    b.call(domain, operator, inputs, attributes)[0] as Value; // operators with one result
  const number = (name: string, data: Float32Array | Uint8Array) => b.initializer(makeTensor(name, [], data));
  const quantized = (value: Value, scale: number) => {
    const range = [
      number(`scale_${seed}`, Float32Array.of(scale)),
      number(`zero_${seed}`, Uint8Array.of(128)),
    ] as const;
    return [one('QuantizeLinear', [value, ...range]), ...range] as const;
  };
  const integers = (shape: number[]) =>
    b.initializer(
      makeTensor(
        `integers_${seed}`,
        shape,
        Int8Array.from(
          noise(
            shape.reduce((product, size) => product * size, 1),
            seed++,
          ),
          (value) => value * 127,
        ),
      ),
    );
  const layer = ([bytes, scale, zero]: readonly [Value, Value, Value], depth: number, columns: number) => {
    const scales = b.initializer(makeTensor(`scales_${seed}`, [columns], new Float32Array(columns).fill(1 / 127)));
    const zeros = b.initializer(makeTensor(`zeros_${seed}`, [columns], new Int8Array(columns)));
    const inputs = [bytes, integers([depth, columns]), scale, scales, zero, zeros, stored([columns])];
    return one(INTEGER_PRODUCT, inputs, {}, CONTRIB);
  };
  // As scale-columns.ts stores them.
  const ofHeads = (rows: number, columns: number) => {
    const bytes = one('DequantizeLinear', [
      integers([1, HEADS, rows, columns]),
      number(`one_${seed}`, Float32Array.of(1)),
    ]);
    const scales = noise(columns, seed).map((value) => (value + 2) / 127);
    return b.mul(bytes, b.initializer(makeTensor(`of_columns_${seed}`, [columns], scales)));
  };
  const byHead = (value: Value) => b.transpose(b.reshape(value, [0, 0, HEADS, -1]), [0, 2, 1, 3]);

  const x = quantized(b.input('x', DataType.FLOAT, [1, 'tokens', WIDTH]), 1 / 100);
  const key = b.mul(byHead(layer(x, WIDTH, INNER)), 0.25);
  const keyTransposed = b.transpose(key, [0, 1, 3, 2]);
  b.output('scores', b.matmul(ofHeads(WIDTH, SIZE), keyTransposed));
  b.output('bias', b.matmul(stored([1, HEADS, 1, SIZE]), keyTransposed));
  b.output('image', b.mul(b.matmul(byHead(layer(x, WIDTH, INNER)), ofHeads(SIZE, WIDTH)), stored([WIDTH])));

  const gathered = b.input('gathered', DataType.FLOAT, [1, HEADS, 'tokens', WIDTH]);
  const context = b.add(b.matmul(gathered, ofHeads(WIDTH, SIZE)), stored([1, HEADS, 1, SIZE]));
  const joined = b.reshape(b.transpose(context, [0, 2, 1, 3]), [0, 0, -1]);
  b.output('text', layer(quantized(joined, 1 / 12), INNER, WIDTH));
  if (changes.isRowsRead) b.output('rows', b.reshape(keyTransposed, [-1]));
  if (changes.isSumRead) b.output('sum', b.reshape(context, [-1]));
  return b.finish();
}

async function run(model: Model): Promise<Record<string, readonly number[]>> {
  const tokens = 7;
  await using session = await Session.create(modelBytes(model));
  using outputs = await session.run({
    x: floats(noise(tokens * WIDTH, 91), [1, tokens, WIDTH]),
    gathered: floats(noise(HEADS * tokens * WIDTH, 92), [1, HEADS, tokens, WIDTH]),
  });
  return Object.fromEntries(outputs.names.map((name) => [name, [...outputs.get(name).data].map(Number)]));
}

test('layers and products by weights of each head are one layer, which computes the same within the rounding to 8 bits', async () => {
  const model = textSide();
  const merged = copyModel(model);
  const modes = new Map<string, Mode>();
  expect(await mergeHeadProducts(merged, modes)).toBe(4);
  const products = merged.graph.node.filter(({ opType }) => opType === INTEGER_PRODUCT);
  expect(products).toHaveLength(4);
  expect(merged.graph.node.filter(({ opType }) => ['MatMul', 'Mul', 'DequantizeLinear'].includes(opType))).toEqual([]);
  const [expected, found] = [await run(model), await run(merged)];
  for (const [name, values] of Object.entries(expected)) {
    const largest = Math.max(...values.map(Math.abs));
    expect(found[name]).toHaveLength(values.length);
    for (const [at, value] of values.entries())
      expect(Math.abs((found[name]?.[at] ?? Number.NaN) - value), name).toBeLessThan(0.02 * largest);
  }
  // The products behind a layer are static as it is; the last product and its layer read what is quantized when the model runs.
  const ofMode = (wanted: Mode) => [...modes].filter(([, mode]) => mode === wanted).map(([name]) => name);
  const operatorsOf = (names: readonly string[]) =>
    names.map((name) => model.graph.node.find((node) => node.name === name)?.opType);
  expect(operatorsOf(ofMode('static'))).toEqual(['MatMul', 'MatMul', 'MatMul']);
  expect(operatorsOf(ofMode('dynamic'))).toEqual(['MatMul', INTEGER_PRODUCT]);
});

test('products stay apart where something else reads what is between', async () => {
  expect(await mergeHeadProducts(textSide({ isRowsRead: true }), new Map())).toBe(2); // the image's and the text's
  expect(await mergeHeadProducts(textSide({ isSumRead: true }), new Map())).toBe(3);
});

describe('the bundled model by the recipe static', () => {
  let source: ModelPackage;
  let recipe: Recipe;
  let statistics: Statistics;
  let feeds: Feeds;
  beforeAll(async () => {
    source = await readPackage(join(packageRoot, 'assets/nano'));
    recipe = await readRecipe('static');
    const images = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 1, 0);
    ({ statistics } = await calibrateDataset(source, valuesToObserve(source.model, recipe), images));
    feeds = (await calibrationFeeds(source, images.items).next()).value?.feeds ?? {};
  });

  test('says of merged products how they are computed', async () => {
    const { model, counts } = await quantizeModel(source.model, recipe, { statistics });
    expect(readPlanSummary(model)?.layers).toEqual(counts);
    // What ONNX Runtime computes in float with a stored weight; an embedding is looked up without.
    const { unfused } = await lintModel(model, feeds);
    expect(unfused.filter(({ kind }) => kind === 'stored')).toHaveLength(counts['weight-only'] - 1);
    // The recipe asks for no dynamic layer; each range that is found when the model runs is that of a product and a layer.
    const quantizers = model.graph.node.filter(({ opType }) => opType === 'DynamicQuantizeLinear');
    expect(counts.dynamic).toBe(2 * quantizers.length);
    expect(counts.dynamic).toBeGreaterThan(0);
  });

  test('keeps integers that were chosen otherwise than by rounding to the nearest', async () => {
    const { model } = source;
    const projection = plannedWeights(planQuantization(model, recipe)).find(({ node }) => /out_vision_proj/.test(node));
    if (!projection) throw new Error('the recipe stores the projection as integers');
    const { name, dims } = projection.weight;
    const shape = dims.map(Number);
    const numbers = Float32Array.from(tensorElements(projection.weight), Number);
    const step = numbers.reduce((largest, number) => Math.max(largest, Math.abs(number)), 0) / 127;
    const chosen = numbers.map((number) => Math.trunc(number / step));
    const stored: RoundedWeight = {
      values: makeTensor(`${name}.chosen`, shape, chosen),
      scale: makeTensor(
        `${name}.scale`,
        [shape[projection.axis] ?? 0],
        new Float32Array(shape[projection.axis] ?? 0).fill(step),
      ),
      divisor: makeTensor(`${name}.divisor`, shape, new Float32Array(numbers.length).fill(step)),
      multipliers: undefined,
    };
    const integersOf = ({ graph }: Model) =>
      graph.initializer
        .filter(({ dataType, dims: [...sizes] }) => dataType === DataType.INT8 && String(sizes) === String(dims))
        .map((tensor) => String([...tensorElements(tensor)]));
    const { model: quantized } = await quantizeModel(model, recipe, { statistics, rounded: new Map([[name, stored]]) });
    expect(integersOf(quantized)).toContain(String([...chosen]));
  });
});
