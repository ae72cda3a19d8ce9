/** Quantization-aware training and the exported model quantize the same places by the same scales, whatever a recipe says. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { copyModel } from '../onnx/copy.ts';
import { tensorElements } from '../onnx/tensor.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats, type Tensor } from '../runtime/tensor.ts';
import { toyFeeds, toyModel } from '../testing/toy-model.ts';
import { exportTrained } from '../train/export-trained.ts';
import { ENABLED, insertFakeQuantization } from '../train/insert-fake-quantization.ts';
import { startScales } from '../train/learned-scales.ts';
import { observableValues } from './observable-values.ts';
import { calibrate } from './observe/calibrate.ts';
import { listedSamples } from './observe/sample.ts';
import { plannedActivations, planQuantization } from './plan.ts';
import { parseRecipe } from './recipe.ts';
import { resolveRanges } from './resolve-ranges.ts';

const TOKENS = 5;
const model = toyModel(1, { batch: 1, tokens: TOKENS });
const samples = listedSamples([0, 1, 2, 3].map((place) => ({ place, feeds: toyFeeds(place, TOKENS) })));

const layer = fc.constantFrom('toy.attention.query', 'toy.attention.key', 'toy.attention.value', 'toy.fc*', '**');
const rule = fc
  .tuple(
    layer,
    fc.constantFrom(
      'static',
      'dynamic',
      'static, observer: min-max',
      'static, symmetric: true',
      'static, range: [-4, 4]',
      'dynamic, weights: { bits: 4, block: 8 }',
      'static, weights: { per: tensor }',
      'float',
    ),
  )
  .map(([match, treatment]) => `  - { match: '${match}', operators: [MatMul], treatment: ${treatment} }\n`);
const more = fc.constantFrom(
  '',
  "  - { match: '**', operators: [Conv], treatment: static }\n",
  "  - { match: '**', inputs: activations, operators: [MatMul, Add], treatment: static }\n",
);

test('the fake-quantized graph and the exported model agree, or an error names the rules that contradict each other', async () => {
  const statistics = await calibrate(model, observableValues(model, true), samples);
  let agreed = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(rule, { minLength: 1, maxLength: 4 }), more, async (rules, last) => {
      const recipe = parseRecipe(`description: x\nrules:\n${rules.join('')}${last}`, 'random.yaml');
      let plan: ReturnType<typeof planQuantization>;
      try {
        plan = resolveRanges(planQuantization(model, recipe), { statistics });
      } catch (error) {
        expect(error).toBeInstanceOf(UsageError);
        expect(String(error)).toMatch(/(two ranges|two ways), by (rule \d|no rule).* by (rule \d|no rule)/);
        return;
      }
      agreed++;
      const trainable = await startScales(plan);
      // Scales as training might leave them.
      const learned = new Map(
        trainable.scales.map(({ name, initial }, at) => [
          name,
          floats(
            floatData(initial).map((scale) => scale * (1 + 0.1 * Math.sin(at))),
            initial.shape,
          ),
        ]),
      );
      const scaleOf = (name: string): Tensor => learned.get(name) ?? floats(new Float32Array(1), [1]);
      const exported = await exportTrained(model, trainable, scaleOf);

      const stored = new Map(exported.model.graph.initializer.map((tensor) => [tensor.name, tensor]));
      for (const { source, range } of plannedActivations(plan)) {
        const tensor = range && stored.get(`${source}.static_scale`);
        if (!tensor) continue;
        const [scale = Number.NaN] = [...tensorElements(tensor)].map(Number);
        const [name = ''] = [...learned.keys()].filter((each) => each.startsWith(source));
        expect(Math.abs(scale / (floatData(scaleOf(name))[0] ?? 0) - 1)).toBeLessThan(1e-5);
      }

      const training = insertFakeQuantization(copyModel(model), trainable, 1).model;
      const feeds = toyFeeds(9, TOKENS);
      const trained = await features(modelBytes(training), {
        ...feeds,
        ...Object.fromEntries(learned),
        [ENABLED]: floats(Float32Array.of(1), []),
      });
      const deployed = await features(modelBytes(exported.model), feeds);
      const distance = Math.sqrt(trained.reduce((sum, x, at) => sum + (x - (deployed[at] ?? Number.NaN)) ** 2, 0));
      // A number next to the middle between two steps may be rounded to either.
      expect(distance / Math.sqrt(trained.reduce((sum, x) => sum + x * x, 0))).toBeLessThan(0.02);
    }),
    { numRuns: 40 },
  );
  expect(agreed).toBeGreaterThan(10);
});

async function features(bytes: Uint8Array, feeds: Readonly<Record<string, Tensor>>): Promise<Float32Array> {
  await using session = await Session.create(bytes);
  using outputs = await session.run(feeds);
  return floatData(outputs.get('features')).slice();
}
