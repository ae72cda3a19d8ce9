/** Plans of recipes for a toy model of a few layers. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { floatData } from '../runtime/tensor.ts';
import { toyFeeds, toyModel } from '../testing/toy-model.ts';
import { observableValues } from './observable-values.ts';
import { calibrate } from './observe/calibrate.ts';
import { listedSamples } from './observe/sample.ts';
import { countModes, planQuantization, type QuantizationPlan, valuesToObserve } from './plan.ts';
import { quantizeModel } from './quantize.ts';
import { parseRecipe, type Recipe } from './recipe.ts';
import { restrictPlan } from './restrict-plan.ts';
import { TARGET_NAMES } from './targets/targets.ts';
import { prepareModel, withoutPreparation } from './techniques/prepare.ts';

const samples = listedSamples(
  [0, 1, 2, 3, 4, 5].map((place) => ({ place, tokens: 3 + 20 * place, feeds: toyFeeds(place, 3 + 20 * place) })),
);
const recipe = (rules: string, more = ''): Recipe =>
  parseRecipe(`description: for a test\nrules:\n${rules}\n${more}`, 'test.yaml');
const STATIC = "  - { match: '**', operators: [MatMul, Conv], treatment: static }\n";

describe('a plan', () => {
  const model = toyModel();

  test('names the inputs and results that become integers, and the rule that says so', () => {
    const { entries } = planQuantization(
      model,
      recipe(
        `${STATIC}  - { match: 'toy.fc*', treatment: dynamic }\n  - { match: '**', inputs: activations, operators: [Add], treatment: static }\n`,
      ),
    );
    const of = (path: string) => entries.find((entry) => entry.path === path);
    expect(of('toy.patches')).toMatchObject({ mode: 'static', rule: { number: 1 }, operator: 'Conv' });
    expect(of('toy.patches')?.activations.map(({ side, index }) => [side, index])).toEqual([
      ['input', 0],
      ['output', 0],
    ]);
    expect(of('toy.fc1')).toMatchObject({ mode: 'dynamic', rule: { number: 2 } });
    expect(of('toy.fc1')?.activations.map(({ side, index }) => [side, index])).toEqual([['input', 0]]);
    expect(of('toy.residual1')?.activations).toHaveLength(3);
    expect(of('toy.embedding')).toMatchObject({ mode: 'float', activations: [] });
    // Both projections of the patches read the same numbers, which are those of the convolution.
    const [key, value] = ['key', 'value'].map((name) => of(`toy.attention.${name}`)?.activations[0]?.source);
    expect(key).toBe(value);
    expect(key).toBe(of('toy.patches')?.activations[1]?.source);
  });

  test('counts its modes', () => {
    const plan = planQuantization(
      model,
      recipe(`${STATIC}  - { match: 'toy.embedding', operators: [Gather], treatment: weight-only }\n`),
    );
    expect(countModes(plan)).toEqual({ float: 0, dynamic: 0, static: 9, 'weight-only': 1, activations: {} });
  });

  test.each([
    ["  - { match: 'toy.fc3', treatment: static }", /"toy\.fc3", which matches nothing/],
    ["  - { match: '**', treatment: dynamic }", /toy\.patches, a Conv, dynamic by its rule 1.*float or static/],
    ["  - { match: '**', inputs: activations, operators: [Add], treatment: dynamic }", /can only be float or static/],
    [
      "  - { match: '**', operators: [Gather], treatment: weight-only, weights: { bits: 4 } }",
      /toy\.embedding.*can only have 8/,
    ],
  ])('%s is refused', (rules, message) => {
    expect(() => planQuantization(model, recipe(rules))).toThrow(message);
    expect(() => planQuantization(model, recipe(rules))).toThrow(UsageError);
  });
});

describe('rules that contradict each other', () => {
  const model = toyModel();
  const key = "  - { match: 'toy.attention.key', treatment: static, range: [0, 1] }\n";
  const value = "  - { match: 'toy.attention.value', treatment: static, range: [-8, 8] }\n";
  const observed = (observer: string) =>
    `  - { match: 'toy.attention.value', treatment: static, observer: ${observer} }\n`;

  test.each([
    ['two ranges', key + value],
    ['two ranges in the other order', value + key],
    ['a range and an observer', key + observed('min-max')],
    ['two observers', `${observed('min-max').replace('value', 'key')}${observed('mse')}`],
    ['centred and not', `${STATIC}  - { match: 'toy.attention.value', treatment: static, symmetric: true }\n`],
  ])('about the range of a shared value are refused: %s', (_, rules) => {
    const message = /the value toy\.patches\/.* two ranges, by rule \d .*toy\.(patches|attention\.key).* by rule \d/;
    expect(() => planQuantization(model, recipe(rules))).toThrow(message);
    expect(() => planQuantization(model, recipe(rules))).toThrow(UsageError);
  });

  test.each([
    ['the same range', key + key.replace('key', 'value')],
    ['the default observer and its name', `${observed('mse').replace('value', 'key')}${STATIC}${observed('mse')}`],
    ['one of the layers dynamic', `${key}  - { match: 'toy.attention.value', treatment: dynamic }\n`],
  ])('are only those that make different ranges: %s is allowed', (_, rules) => {
    expect(() => planQuantization(model, recipe(rules))).not.toThrow();
  });

  test('about a shared weight are refused, unless one of the layers is float', () => {
    const head = (at: number, more: string) => `  - { match: 'toy.heads.${at}', treatment: dynamic${more} }\n`;
    const four = ', weights: { bits: 4 }';
    expect(() => planQuantization(model, recipe(head(0, '') + head(1, four)))).toThrow(
      /the weight toy\.head\.weight in two ways, by rule 1 .*heads\.0.*by rule 2 .*heads\.1/,
    );
    expect(() => planQuantization(model, recipe(head(0, four) + head(1, four)))).not.toThrow();
    expect(() => planQuantization(model, recipe(head(1, four)))).not.toThrow();
  });
});

describe('statistics', () => {
  const model = toyModel();

  test.each([
    ['ranges', STATIC, '', /needs statistics of .* and \d more values, which were not observed/],
    ['clip', "  - { match: 'toy.fc2', treatment: dynamic, clip: 99 }\n", '', /needs statistics of toy\.fc2\/Add/],
    [
      'correct-bias',
      "  - { match: 'toy.fc2', treatment: dynamic }\n",
      'techniques: [{ technique: correct-bias }]',
      /needs statistics of toy\.relu\/Relu/,
    ],
  ])('that a recipe needs and does not have are named: %s', async (_, rules, more, message) => {
    const asked = recipe(rules, more);
    await expect(quantizeModel(model, asked, { statistics: new Map() })).rejects.toThrow(message);
    await expect(quantizeModel(model, asked)).rejects.toThrow(InputError);
    const statistics = await calibrate(model, valuesToObserve(model, asked), samples);
    await quantizeModel(model, asked, { statistics });
  });

  test('that the technique smooth lacks are named', async () => {
    const asked = recipe("  - { match: 'toy.fc*', treatment: dynamic }\n", 'techniques: [{ technique: smooth }]');
    await expect(prepareModel(model, asked, new Map())).rejects.toThrow(/smooth needs statistics of toy\.norm/);
    await expect(quantizeModel(model, asked)).rejects.toThrow(/apply prepareModel first/);
    const statistics = await calibrate(model, valuesToObserve(model, asked), samples);
    const prepared = await prepareModel(model, asked, statistics);
    await quantizeModel(prepared, withoutPreparation(asked));
  });

  test('of a calibration without a recipe are those that every recipe of layers needs', async () => {
    const known = new Set(observableValues(model));
    const asked = recipe(STATIC);
    expect(valuesToObserve(model, asked).filter((name) => !known.has(name))).toEqual([]);
    const everything = new Set(observableValues(model, true));
    const all = recipe(
      `${STATIC}  - { match: '**', inputs: activations, operators: [MatMul, Add], treatment: static }\n`,
    );
    expect(valuesToObserve(model, all).filter((name) => !everything.has(name))).toEqual([]);
    expect(valuesToObserve(model, all).filter((name) => !known.has(name))).not.toEqual([]);
  });
});

/** Rules of all kinds for the layers of the toy model; some contradict each other. */
const layer = fc.constantFrom('toy.attention.query', 'toy.attention.key', 'toy.fc1', 'toy.fc2', 'toy.heads.*', '**');
const rule = fc.oneof(
  fc
    .tuple(layer, fc.constantFrom('static', 'dynamic', 'weight-only', 'float'))
    .map(([match, treatment]) => `  - { match: '${match}', operators: [MatMul], treatment: ${treatment} }\n`),
  fc
    .tuple(layer, fc.constantFrom('min-max', 'entropy', '{ percentile: 99 }'))
    .map(
      ([match, observer]) =>
        `  - { match: '${match}', operators: [MatMul], treatment: static, observer: ${observer} }\n`,
    ),
  fc
    .constantFrom('MatMul', 'Add')
    .map((operator) => `  - { match: '**', inputs: activations, operators: [${operator}], treatment: static }\n`),
  fc.constantFrom('static', 'float').map((mode) => `  - { match: '**', operators: [Conv], treatment: ${mode} }\n`),
);

test('for any recipe, the INT8 model is close to the float model, or an error names the rules', async () => {
  const model = toyModel();
  const statistics = await calibrate(model, observableValues(model, true), samples);
  const run = async (bytes: Uint8Array) => {
    await using session = await Session.create(bytes);
    using outputs = await session.run(toyFeeds(2, 43));
    return floatData(outputs.get('features')).slice();
  };
  const expected = await run(modelBytes(model));
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { minLength: 1, maxLength: 5 }),
      fc.constantFrom(...TARGET_NAMES),
      async (rules, target) => {
        const quantized = await quantizeModel(model, recipe(rules.join('')), { statistics, target }).catch(
          (error: unknown) => {
            expect(error).toBeInstanceOf(UsageError);
            expect(String(error)).toMatch(/two ranges, by rule \d .* by rule \d|computes in integers/);
          },
        );
        if (!quantized) return;
        const found = await run(modelBytes(quantized.model));
        const distance = Math.sqrt(expected.reduce((sum, x, at) => sum + (x - (found[at] ?? Number.NaN)) ** 2, 0));
        expect(distance / Math.sqrt(expected.reduce((sum, x) => sum + x * x, 0))).toBeLessThan(0.15);
      },
    ),
    { numRuns: 40 },
  );
});

describe('a plan of some modules', () => {
  const model = toyModel();
  const ALL = `${STATIC}  - { match: '**', inputs: activations, operators: [Add, MatMul], treatment: static }\n`;
  const modesOf = (plan: QuantizationPlan) =>
    plan.entries.map(({ path, node, mode, activations }) => [
      path,
      node.name,
      mode,
      activations.map(({ value }) => value),
    ]);

  test('is the plan of its recipe, whichever modules are left', () => {
    const plan = planQuantization(model, recipe(`${ALL}  - { match: 'toy.fc1', treatment: static, clip: 99 }\n`));
    const paths = [...new Set(plan.entries.map(({ path }) => path))];
    fc.assert(
      fc.property(fc.subarray(paths, { minLength: 1 }), (kept) => {
        const part = restrictPlan(plan, (path) => kept.includes(path));
        const again = planQuantization(model, part.recipe);
        expect(modesOf(part)).toEqual(modesOf(again));
        expect(part.clips).toEqual(again.clips);
        expect(part.valuesToObserve).toEqual(again.valuesToObserve);
      }),
      { numRuns: 30 },
    );
  });
});
