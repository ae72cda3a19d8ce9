/** Operators of the table run in integers in ONNX Runtime, and their results are close to float. */
import { expect, test } from 'vitest';
import { GraphBuilder, type Value } from '../../onnx/builder.ts';
import type { Model } from '../../onnx/read.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { profileRun } from '../../runtime/profile.ts';
import { Session } from '../../runtime/session.ts';
import { floatData, floats } from '../../runtime/tensor.ts';
import { noise } from '../../testing/noise.ts';
import { calibrate } from '../observe/calibrate.ts';
import { listedSamples } from '../observe/sample.ts';
import { valuesToObserve } from '../plan.ts';
import { quantizeModel } from '../quantize.ts';
import { parseRecipe } from '../recipe.ts';

/** Two convolutions of one image [1, 3, height, width], whose results are combined. */
function gated(combine: (b: GraphBuilder, x: Value, y: Value) => Value): Model {
  const b = new GraphBuilder('gated');
  const image = b.input('image', DataType.FLOAT, ['batch', 3, 'height', 'width']);
  const conv = (name: string, seed: number) => {
    const kernel = b.initializer(makeTensor(`${name}.weight`, [8, 3, 3, 3], noise(216, seed)));
    const bias = b.initializer(makeTensor(`${name}.bias`, [8], noise(8, seed + 1)));
    return b.scope(name, () => b.conv(image, kernel, bias, 3, 1, 1));
  };
  const [features, gates] = [conv('features', 1), conv('gates', 3)];
  b.output(
    'y',
    b.scope('combine', () => combine(b, features, gates)),
  );
  return b.finish();
}

test.each([
  ['Mul', 'QLinearMul', gated((b, x, gates) => b.mul(x, b.sigmoid(gates)))],
  ['Mul', 'QLinearMul', gated((b, x, gates) => b.mul(x, b.sigmoid(b.reduceMean(gates, [2, 3]))))],
  ['Add', 'QLinearAdd', gated((b, x, other) => b.add(x, other))],
])('%s runs as %s in ONNX Runtime and is close to float', async (operator, integerOperator, model) => {
  const feeds = (seed: number) => ({ image: floats(noise(3 * 100, seed), [1, 3, 10, 10]) });
  const samples = listedSamples([1, 2, 3].map((place) => ({ place, feeds: feeds(place) })));
  const recipe = parseRecipe(
    `description: x\nrules:\n  - { match: '**', treatment: static }\n  - { match: '**', inputs: activations, operators: [${operator}], treatment: static }`,
    'test.yaml',
  );
  const statistics = await calibrate(model, valuesToObserve(model, recipe), samples);
  const { model: quantized, counts } = await quantizeModel(model, recipe, { statistics });
  expect(counts).toMatchObject({ static: 2, activations: { [operator]: 1 } });
  const nodes = await profileRun(modelBytes(quantized), {}, feeds(4));
  expect(nodes.map((node) => node.operator)).toContain(integerOperator);
  const run = async (of: typeof model) => {
    await using session = await Session.create(modelBytes(of));
    using outputs = await session.run(feeds(4));
    return floatData(outputs.get('y')).slice();
  };
  const [expected, found] = [await run(model), await run(quantized)];
  const squaredSum = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
  const error = squaredSum(expected.map((x, at) => x - (found[at] ?? Number.NaN)));
  expect(Math.sqrt(error / squaredSum(expected))).toBeLessThan(0.05);
});
