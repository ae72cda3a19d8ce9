/** Models for each target are close to the float model, and the target's linter finds nothing. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { planCalibration } from '../../data/calibration-plan.ts';
import { readDataset } from '../../data/datasets/read-dataset.ts';
import { calibrationSamples } from '../../detect/calibration-feeds.ts';
import { compareModels } from '../../evaluate/compare.ts';
import { readPackage } from '../../models/package/package.ts';
import { copyModel } from '../../onnx/copy.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode, sortTopologically } from '../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { modelBytes } from '../../onnx/write.ts';
import { calibrateDataset } from '../../pipeline/calibrate-dataset.ts';
import { Session } from '../../runtime/session.ts';
import { floatData } from '../../runtime/tensor.ts';
import { toyFeeds, toyModel } from '../../testing/toy-model.ts';
import { observableValues } from '../observable-values.ts';
import { calibrate, type Statistics } from '../observe/calibrate.ts';
import { listedSamples, type SampleSource } from '../observe/sample.ts';
import { textDependence } from '../observe/text-dependence.ts';
import { planQuantization, valuesToObserve } from '../plan.ts';
import { quantizeModel } from '../quantize.ts';
import { parseRecipe, type Recipe, readRecipe } from '../recipe.ts';
import { lintOperators } from './lint-operators.ts';
import { CONTRIB, INTEGER_PRODUCT } from './ort-cpu/integer-product.ts';
import { lintModel } from './ort-cpu/lint-ort-cpu.ts';
import { findTarget, TARGET_NAMES } from './targets.ts';

const model = toyModel();
let samples: SampleSource;
let statistics: Statistics;
beforeAll(async () => {
  // Two lengths of the text, each with enough samples for a statistic.
  const list = Array.from({ length: 12 }, (_, place) => {
    const tokens = place % 2 === 0 ? 5 : 40;
    return { place, tokens, feeds: toyFeeds(place, tokens) };
  });
  samples = listedSamples(list);
  statistics = await calibrate(model, observableValues(model, true), samples);
});

const recipe = (rules: string, more = ''): Recipe =>
  parseRecipe(`description: for a test\nrules:\n${rules}\n${more}`, 'test.yaml');
const LAYERS = "  - { match: '**', operators: [MatMul, Conv], treatment: static }\n";
const STORED = "  - { match: 'toy.embedding', operators: [Gather], treatment: weight-only }\n";
const ACTIVATIONS = "  - { match: '**', inputs: activations, operators: [MatMul, Add], treatment: static }\n";

async function features(of: Model, tokens = 40): Promise<Float32Array> {
  await using session = await Session.create(modelBytes(of));
  using outputs = await session.run(toyFeeds(3, tokens));
  return floatData(outputs.get('features')).slice();
}

/** The root of the mean square of the difference, over that of the values. */
function distance(expected: Float32Array, found: Float32Array): number {
  const squaredSum = (values: Float32Array) => values.reduce((sum, x) => sum + x * x, 0);
  return Math.sqrt(squaredSum(expected.map((x, at) => x - (found[at] ?? Number.NaN))) / squaredSum(expected));
}

const nodesOf = (of: Model, pattern: RegExp) => of.graph.node.filter(({ name }) => pattern.test(name)).length;

describe.each([...TARGET_NAMES])('%s', (target) => {
  test.each([
    ['layers', LAYERS],
    ['layers and an embedding', LAYERS + STORED],
    ['layers, products and sums', LAYERS + ACTIVATIONS],
    ['dynamic layers', `${LAYERS}  - { match: 'toy.fc*', treatment: dynamic }\n`],
  ])('the quantized model is close to the float model: %s', async (_, rules) => {
    const { model: quantized } = await quantizeModel(model, recipe(rules), { statistics, target });
    expect(distance(await features(model), await features(quantized))).toBeLessThan(0.05);
    expect(distance(await features(model), await features(quantized))).toBeGreaterThan(0);
    const { findings } = await findTarget(target).lint(quantized, { feeds: () => toyFeeds(1, 8) });
    expect(findings.filter(({ isDefect }) => isDefect)).toEqual([]);
  });
});

test('a target that does not exist is refused', () => {
  expect(() => planQuantization(model, recipe(LAYERS), { target: 'abacus' })).toThrow(/the targets are .*ort-cpu/);
});

describe('for ONNX Runtime', () => {
  test('the standard body of the integer product agrees with its operator', async () => {
    const { model: quantized } = await quantizeModel(model, recipe(LAYERS), { statistics });
    // Under another name, ONNX Runtime does not know it and takes the function.
    const renamed = copyModel(quantized);
    const nodes = [...renamed.graph.node, ...renamed.functions.flatMap((body) => body.node)];
    const calls = nodes.filter(({ domain, opType }) => domain === CONTRIB && opType === INTEGER_PRODUCT);
    expect(calls.length).toBeGreaterThan(0);
    for (const node of calls) node.opType = 'Standard';
    for (const body of renamed.functions) if (body.domain === CONTRIB) body.name = 'Standard';
    // An 8-bit step here and there may differ.
    expect(distance(await features(quantized), await features(renamed))).toBeLessThan(5e-3);
  });

  test.each(['buckets', 'dynamic'])(
    'ranges that change with the text are found in another way: %s',
    async (treatment) => {
      const text = `text: { length: ids, factor: 1, treatment: ${treatment} }`;
      const { model: quantized, counts } = await quantizeModel(model, recipe(LAYERS, text), { statistics });
      expect(distance(await features(model), await features(quantized))).toBeLessThan(0.05);
      expect(distance(await features(model, 5), await features(quantized, 5))).toBeLessThan(0.05);
      if (treatment === 'buckets') expect(nodesOf(quantized, /by_length\.Scale$/)).toBeGreaterThan(3);
      else expect(counts.dynamic).toBeGreaterThan(3);
    },
  );

  test.each(['buckets', 'dynamic'])(
    'operators that need a constant scale keep one range, and are named: %s',
    async (treatment) => {
      const text = `text: { length: ids, factor: 1, treatment: ${treatment} }`;
      const { model: quantized, plan } = await quantizeModel(model, recipe(LAYERS + ACTIVATIONS, text), { statistics });
      const isDependent = (source: string) => {
        const statistic = statistics.get(source);
        return statistic !== undefined && textDependence(statistic).factor > 1;
      };
      const fixed = plan.entries.filter(
        ({ operands, mode, activations }) =>
          operands === 'activations' && mode === 'static' && activations.some(({ source }) => isDependent(source)),
      );
      expect(fixed.length).toBeGreaterThan(0);
      expect(plan.notices).toHaveLength(1);
      expect(plan.notices[0]).toContain(fixed[0]?.node.name);
      expect(plan.notices[0]).toMatch(/change with the length of the text, but cannot/);
      expect(distance(await features(model, 5), await features(quantized, 5))).toBeLessThan(0.1);
    },
  );

  test('the scale of symmetric ranges that are looked up has a zero point in the middle', async () => {
    const text = 'text: { length: ids, factor: 1, treatment: buckets }';
    const rules = LAYERS.replaceAll('treatment: static', 'treatment: static, symmetric: true');
    const { plan } = await quantizeModel(model, recipe(rules, text), { statistics });
    const lookups = plan.entries.flatMap(({ activations }) => activations.flatMap(({ byLength }) => byLength ?? []));
    expect(lookups.length).toBeGreaterThan(3);
    for (const { ranges } of lookups) for (const { range } of ranges) expect(range.min).toBe(-range.max);
  });

  test('statistics of texts of a single length are a notice, and the length of a value that does not exist is an error', async () => {
    const text = (length: string) => `text: { length: ${length}, factor: 1, treatment: buckets }`;
    const single = await calibrate(
      model,
      valuesToObserve(model, recipe(LAYERS)),
      listedSamples([{ place: 0, feeds: toyFeeds(1, 8), tokens: 8 }]),
    );
    const { plan } = await quantizeModel(model, recipe(LAYERS, text('ids')), { statistics: single });
    expect(plan.notices).toEqual([expect.stringContaining('of texts of one length')]);
    expect(() => planQuantization(model, recipe(LAYERS, text('nothing')))).toThrow(
      /the value nothing, which is not in/,
    );
  });

  test('the second operand of a product is int8, which changes no result', async () => {
    const { model: quantized } = await quantizeModel(model, recipe(ACTIVATIONS), { statistics });
    // The same model with the operand as uint8: all its integers, the zero point among them, are higher by 128.
    const unsigned = copyModel(quantized);
    let shifted = 0;
    unsigned.graph.initializer = unsigned.graph.initializer.map((tensor) => {
      if (tensor.dataType !== DataType.INT8 || tensor.dims.length > 0) return tensor;
      shifted++;
      return makeTensor(tensor.name, [], Uint8Array.of(Number(tensorElements(tensor)[0]) + 128));
    });
    expect(shifted).toBe(2);
    expect(await features(quantized)).toEqual(await features(unsigned));
  });

  test('results are clipped where a rule says so, in static and in float layers', async () => {
    const rules = `${LAYERS}  - { match: 'toy.attention.query', treatment: static, clip: 90 }\n  - { match: 'toy.fc1', treatment: float, clip: 99 }\n`;
    const asked = recipe(rules);
    const observed = await calibrate(model, valuesToObserve(model, asked), samples);
    const { model: quantized } = await quantizeModel(model, asked, { statistics: observed });
    expect(nodesOf(quantized, /clip\.Clip$/)).toBe(2);
    expect(distance(await features(model), await features(quantized))).toBeLessThan(0.1);
  });

  test('the linter finds a pair that is not fused', async () => {
    const { model: quantized } = await quantizeModel(model, recipe(LAYERS), { statistics });
    const softmax = quantized.graph.node.find((node) => node.opType === 'Softmax');
    const affine = ['test.scale', 'test.zero_point'];
    quantized.graph.initializer.push(
      makeTensor('test.scale', [], Float32Array.of(0.1)),
      makeTensor('test.zero_point', [], Uint8Array.of(128)),
    );
    quantized.graph.node.push(
      makeNode('QuantizeLinear', 'pair/QuantizeLinear', [softmax?.input[0] ?? '', ...affine], ['test.uint8']),
      makeNode('DequantizeLinear', 'pair/DequantizeLinear', ['test.uint8', ...affine], ['test.float']),
    );
    if (softmax) softmax.input[0] = 'test.float';
    sortTopologically(quantized.graph);
    const { unfused } = await lintModel(quantized, toyFeeds(1, 8));
    expect(unfused.find(({ kind }) => kind === 'pair')).toMatchObject({ node: 'pair/DequantizeLinear' });
  });
});

describe('for TensorRT', () => {
  const target = 'tensorrt';

  test('of a residual sum one branch is quantized, and dynamic layers stay float', async () => {
    const rules = `${LAYERS}  - { match: 'toy.fc*', treatment: dynamic }\n${ACTIVATIONS}`;
    const { entries } = planQuantization(model, recipe(rules), { target });
    const of = (path: string) => entries.filter((entry) => entry.path === path);
    expect(of('toy.residual1').map(({ activations }) => activations.length)).toEqual([1]);
    expect(of('toy.patches').map(({ activations }) => activations.length)).toEqual([1]);
    expect(of('toy.fc1')).toMatchObject([{ mode: 'float', refusal: /dynamic/, activations: [] }]);
  });

  test.each([
    [
      "  - { match: '**', operators: [MatMul], treatment: dynamic }",
      '',
      /has nothing that tensorrt computes in integers/,
    ],
    [LAYERS, 'text: { length: ids, treatment: buckets }', /which tensorrt cannot do/],
    ["  - { match: '**', operators: [MatMul], treatment: static, weights: { bits: 4 } }", '', /weights of 4 bits/],
  ])('a recipe that it cannot carry out is refused: %s', (rules, more, message) => {
    expect(() => planQuantization(model, recipe(rules, more), { target })).toThrow(message);
  });

  const lintForTensorRt = (of: Model) => {
    const { operators } = findTarget(target);
    if (!operators) throw new Error('the target has no table');
    return lintOperators(of, operators);
  };
  const problems = (of: Model) => lintForTensorRt(of).map(({ problem }) => problem.replace(/ \(.*/, ''));

  test('the linter finds nodes that break the rules', async () => {
    const { model: other } = await quantizeModel(model, recipe(LAYERS), { statistics });
    expect(problems(other)).toContain('model-local functions are not known');
    const { model: quantized } = await quantizeModel(model, recipe(LAYERS), { statistics, target });
    const zero = quantized.graph.initializer.find(({ name }) => name.endsWith('.static_zero_point'));
    if (zero) zero.rawData = Uint8Array.of(5);
    expect(problems(quantized)).toContain('its zero point is not 0');
    const product = quantized.graph.node.find(({ opType }) => opType === 'MatMul');
    const pair = quantized.graph.node.find(({ output }) => output[0] === product?.input[0]);
    if (product && pair) product.input[0] = pair.input[0] ?? '';
    expect(problems(quantized)).toContain('only one of its two inputs is quantized');
  });

  test('the bundled model follows its rules by the recipe full, and finds the same boxes', async () => {
    const source = await readPackage(join(packageRoot, 'assets/nano'));
    const plan = planCalibration(await readDataset(join(packageRoot, 'assets/shapes/calib')), 4, 0);
    const full = await readRecipe('full');
    const observed = await calibrateDataset(source, valuesToObserve(source.model, full, { target }), plan);
    const { model: quantized } = await quantizeModel(source.model, full, { statistics: observed.statistics, target });
    expect(lintForTensorRt(quantized)).toEqual([]);
    expect(quantized.graph.node.filter(({ opType }) => opType === 'QuantizeLinear').length).toBeGreaterThan(40);
    const samples = calibrationSamples(source, { items: plan.items.slice(0, 2), key: 'two' });
    const { figures } = await compareModels(source, quantized, samples, { outputsOnly: true });
    expect(figures.overlap).toBeGreaterThan(0.93);
  });
});
