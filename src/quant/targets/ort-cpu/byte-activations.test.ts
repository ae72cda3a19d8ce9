/** ONNX Runtime is the oracle: a chain on bytes agrees with the chain in float, to the quantization step. */
import { describe, expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType } from '../../../onnx/types.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { profileRun } from '../../../runtime/profile.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import { noise } from '../../../testing/noise.ts';
import { calibrate } from '../../observe/calibrate.ts';
import { listedSamples } from '../../observe/sample.ts';
import { planQuantization } from '../../plan.ts';
import { quantizeModel } from '../../quantize.ts';
import { parseRecipe } from '../../recipe.ts';

const CHANNELS = 16;
const SIZE = 24;

/** conv → `between` → conv, the second of which pads. */
function twoLayers(between: (b: GraphBuilder, x: Value) => Value): Model {
  const b = new GraphBuilder('toy');
  const weight = (seed: number) =>
    b.initializer(makeTensor(`w${seed}`, [CHANNELS, CHANNELS, 3, 3], noise(CHANNELS * CHANNELS * 9, seed)));
  const bias = (seed: number) => b.initializer(makeTensor(`b${seed}`, [CHANNELS], noise(CHANNELS, seed)));
  const x = b.input('x', DataType.FLOAT, [1, CHANNELS, SIZE, SIZE]);
  const first = b.scope('first', () => b.conv(x, weight(1), bias(2), 3, 1, 1));
  const middle = b.scope('between', () => between(b, first));
  b.output(
    'y',
    b.scope('second', () => b.conv(middle, weight(3), bias(4), 3, 1, 1)),
  );
  return b.finish();
}

const samples = Array.from({ length: 4 }, (_, place) => ({
  place,
  feeds: { x: floats(noise(CHANNELS * SIZE * SIZE, 10 + place), [1, CHANNELS, SIZE, SIZE]) },
}));
const recipe = parseRecipe(
  "description: all\nrules:\n  - { match: '**', treatment: static, observer: min-max }\n",
  'all',
);

async function quantized(model: Model): Promise<Model> {
  const plan = planQuantization(model, recipe);
  const statistics = await calibrate(model, plan.valuesToObserve, listedSamples(samples));
  return (await quantizeModel(model, plan, { statistics })).model;
}

/** ‖x − x̂‖ / ‖x‖ of the results of two models on a sample that calibration did not see. */
async function relativeError(model: Model, other: Model): Promise<number> {
  const feeds = { x: floats(noise(CHANNELS * SIZE * SIZE, 99), [1, CHANNELS, SIZE, SIZE]) };
  const results = [];
  for (const each of [model, other]) {
    await using session = await Session.create(modelBytes(each), {});
    using outputs = await session.run(feeds);
    results.push([...floatData(outputs.get('y'))]);
  }
  const [a = [], b = []] = results;
  const squaredSum = (values: readonly number[]) => values.reduce((sum, value) => sum + value * value, 0);
  return Math.sqrt(squaredSum(a.map((value, index) => value - (b[index] ?? 0))) / squaredSum(a));
}

const hardSwish = (b: GraphBuilder, x: Value): Value => {
  const [y] = b.call('', 'HardSwish', [x]);
  if (!y) throw new Error('HardSwish has one result');
  return y;
};

describe('between two convolutions', () => {
  test.each<[string, (b: GraphBuilder, x: Value) => Value, readonly string[]]>([
    ['hard swish', hardSwish, ['QLinearMul']],
    ['hard swish, scaled and shifted', (b, x) => b.add(b.mul(hardSwish(b, x), 0.7), -0.35), ['QLinearMul']],
    ['a shift by less than a step', (b, x) => b.add(hardSwish(b, x), 0.01), ['QLinearMul']],
    ['swish', (b, x) => b.mul(x, b.sigmoid(x)), ['QLinearSigmoid', 'QLinearMul']],
    ['relu', (b, x) => b.relu(x), []],
    ['relu, scaled', (b, x) => b.mul(b.relu(x), 3), []],
  ])('%s runs on bytes, and the result is close', async (_, between, expected) => {
    const model = twoLayers(between);
    const integer = await quantized(model);
    expect(await relativeError(model, integer)).toBeLessThan(0.03);
    const operators = (await profileRun(modelBytes(integer), {}, samples[0]?.feeds ?? {})).map(
      ({ operator }) => operator,
    );
    for (const operator of ['QLinearConv', ...expected]) expect(operators).toContain(operator);
    for (const operator of ['Conv', 'Mul', 'Add', 'Relu', 'HardSwish', 'HardSigmoid', 'Sigmoid'])
      expect(operators).not.toContain(operator);
  });

  test('a value that is also read in float does not change', async () => {
    const b = (builder: GraphBuilder, x: Value) =>
      builder.add(hardSwish(builder, x), builder.exp(builder.neg(builder.abs(x))));
    const model = twoLayers(b);
    expect(await relativeError(model, await quantized(model))).toBeLessThan(0.03);
  });
});
