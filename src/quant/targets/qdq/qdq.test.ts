/** Standard pairs compute the same integers as ONNX Runtime's own form, and need nothing but standard operators. */
import { expect, test } from 'vitest';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData } from '../../../runtime/tensor.ts';
import { toyFeeds, toyModel } from '../../../testing/toy-model.ts';
import { calibrate } from '../../observe/calibrate.ts';
import { listedSamples } from '../../observe/sample.ts';
import { valuesToObserve } from '../../plan.ts';
import { quantizeModel } from '../../quantize.ts';
import { parseRecipe } from '../../recipe.ts';
import { lintPairs } from './lint-qdq.ts';

const RECIPE = parseRecipe(
  `description: x
rules:
  - { match: '**', operators: [MatMul, Conv], treatment: static }
  - { match: 'toy.embedding', operators: [Gather], treatment: weight-only }
  - { match: '**', inputs: activations, operators: [MatMul], treatment: static }`,
  'test.yaml',
);

test('the models for qdq and ort-cpu agree, except for numbers between two quantization steps', async () => {
  const model = toyModel();
  const samples = listedSamples([0, 1, 2, 3].map((place) => ({ place, feeds: toyFeeds(place, 20) })));
  const statistics = await calibrate(model, valuesToObserve(model, RECIPE), samples);
  const run = async (target: string) => {
    const { model: quantized } = await quantizeModel(model, RECIPE, { statistics, target });
    if (target === 'qdq') expect(quantized.opsetImport.map(({ domain }) => domain)).toEqual(['']);
    expect(lintPairs(quantized).findings.length > 0).toBe(target !== 'qdq');
    await using session = await Session.create(modelBytes(quantized));
    using outputs = await session.run(toyFeeds(9, 20));
    return floatData(outputs.get('features')).slice();
  };
  const [pairs, own] = [await run('qdq'), await run('ort-cpu')];
  const error = own.reduce((sum, x, at) => sum + (x - (pairs[at] ?? Number.NaN)) ** 2, 0);
  expect(Math.sqrt(error / own.reduce((sum, x) => sum + x * x, 0))).toBeLessThan(0.01);
});
