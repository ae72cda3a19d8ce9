import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { planCalibration } from '../data/calibration-plan.ts';
import { openCoco } from '../data/coco.ts';
import { calibrationFeeds } from '../detect/calibration-feeds.ts';
import { extractHalf } from '../models/grounding-dino/grounding-dino.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { makeNode, sortTopologically } from '../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { calibrateDataset } from '../pipeline/calibrate-dataset.ts';
import { profileRun } from '../runtime/profile.ts';
import { Session } from '../runtime/session.ts';
import { floatData, floats } from '../runtime/tensor.ts';
import { matchesPath } from './match-path.ts';
import { calibrate } from './observe/calibrate.ts';
import { listedSamples } from './observe/sample.ts';
import { findQuantizable } from './operators/operators.ts';
import { valuesToObserve } from './plan.ts';
import { quantizeModel } from './quantize.ts';
import { parseRecipe, type Recipe, readRecipe } from './recipe.ts';
import { affineOf, dequantize, INT8, quantize, UINT8 } from './scheme.ts';
import { lintModel } from './targets/ort-cpu/lint-ort-cpu.ts';

const number = fc.float({ min: -1000, max: 1000, noNaN: true });
const range = fc.tuple(number, number).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) }));

describe('the affine map', () => {
  test('0 is represented exactly, and every number in the range to half a step', () => {
    fc.assert(
      fc.property(
        range,
        fc.constantFrom(UINT8, INT8),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (seen, scheme, share) => {
          const affine = affineOf(seen, scheme);
          const wide = { min: Math.min(0, seen.min), max: Math.max(0, seen.max) };
          const x = wide.min + share * (wide.max - wide.min);
          const error = Math.abs(dequantize(quantize(x, affine, scheme), affine) - x);
          return dequantize(quantize(0, affine, scheme), affine) === 0 && error <= affine.scale * 0.5000001 + 1e-9;
        },
      ),
    );
  });

  test("rounds and clamps as ONNX Runtime's QuantizeLinear", async () => {
    const b = new GraphBuilder('quantize');
    const inputs = [
      b.input('x', DataType.FLOAT, ['n']),
      b.input('s', DataType.FLOAT, []),
      b.input('z', DataType.UINT8, []),
    ];
    const [q] = b.call('', 'QuantizeLinear', inputs);
    if (q) b.output('q', q, ['n']);
    await using session = await Session.create(modelBytes(b.finish()));
    await fc.assert(
      fc.asyncProperty(range, fc.array(number, { minLength: 1, maxLength: 50 }), async (seen, numbers) => {
        const { scale, zeroPoint } = affineOf(seen, UINT8);
        const affine = { scale: Math.fround(scale), zeroPoint };
        using outputs = await session.run({
          x: floats(Float32Array.from(numbers), [numbers.length]),
          s: floats(Float32Array.of(affine.scale), []),
          z: { type: DataType.UINT8, shape: [], data: Uint8Array.of(zeroPoint) },
        });
        // In float32, as there: the quotient decides where exactly halves fall.
        const expected = numbers.map((x) => quantize(Math.fround(x / affine.scale) * affine.scale, affine, UINT8));
        const actual = [...outputs.get('q').data].map(Number);
        return actual.every(
          (value, index) =>
            Math.abs(value - (expected[index] ?? -1)) <= (isTie((numbers[index] ?? 0) / affine.scale) ? 1 : 0),
        );
      }),
      { numRuns: 60 },
    );
  });
});

/** So near to a half that float32 and double may round it apart. */
const isTie = (x: number) => Math.abs(Math.abs(x % 1) - 0.5) < 1e-3;

describe('recipes', () => {
  test.each([
    ['a.b.c', 'a.b.c', true],
    ['a.*.c', 'a.b.c', true],
    ['a.*', 'a.b.c', false],
    ['**', 'a.b.c', true],
    ['**.c', 'c', true],
    ['a.**.c', 'a.c', true],
    ['a.**', 'a', true],
    ['**.l*r.c', 'x.layer.c', true],
    ['**.l*r.c', 'x.layers.c', false],
    ['a*b', 'ab', true],
    ['a*b*c', 'a-c', false],
  ])('%s on %s: %s', (pattern, path, expected) => {
    expect(matchesPath(pattern, path)).toBe(expected);
  });

  test.each([
    ['rules: []', /at description/],
    ['description: x\nrules: [{match: a, treatment: int3}]', /at rules\.0\.treatment/],
    ['description: x\nrules: [{match: a, treatment: float, bits: 3}]', /Unrecognized key/],
    ['a: [', /not valid YAML/],
  ])('%s is refused', (text, message) => {
    expect(() => parseRecipe(text, 'mine.yaml')).toThrow(message);
    expect(() => parseRecipe(text, 'mine.yaml')).toThrow(InputError);
  });

  test('the bundled ones are found by name, others by path', async () => {
    expect((await readRecipe('dynamic')).name).toBe('dynamic');
    await expect(readRecipe('best')).rejects.toThrow(/bundled ones are .*dynamic/);
    await expect(readRecipe('./none.yaml')).rejects.toThrow(/does not exist/);
  });
});

const recipe = (treatment: Recipe['rules'][number]['treatment'], match = ['**']): Recipe => ({
  name: 'test',
  description: 'for a test',
  rules: [{ match, treatment, inputs: 'weights' }],
  techniques: [],
});

/** y = x · W, with x [n, 16] and one column of W zero. */
function linearModel(): Model {
  const b = new GraphBuilder('linear');
  const x = b.input('x', DataType.FLOAT, ['n', 16]);
  const weights = Float32Array.from({ length: 16 * 8 }, (_, index) =>
    index % 8 === 3 ? 0 : Math.sin(index * 1.7) * (index % 8),
  );
  b.scope('layer', () => b.output('y', b.matmul(x, b.initializer(makeTensor('layer.weight', [16, 8], weights)))));
  return b.finish();
}

describe('a quantized layer', () => {
  const values = Array.from({ length: 64 }, (_, index) => Math.cos(index) * 3);
  const run = async (model: Model) => {
    await using session = await Session.create(modelBytes(model));
    using outputs = await session.run({ x: floats(Float32Array.from(values), [4, 16]) });
    return floatData(outputs.get('y')).slice();
  };
  const samples = listedSamples([{ place: 0, feeds: { x: floats(Float32Array.from(values), [4, 16]) } }]);

  test.each(['dynamic', 'static'] as const)(
    '%s computes what the float one does, to the steps of its numbers',
    async (treatment) => {
      const model = linearModel();
      const expected = await run(model);
      const statistics = await calibrate(model, ['x'], samples);
      const { model: quantized, counts } = await quantizeModel(model, recipe(treatment), { statistics });
      expect(counts[treatment]).toBe(1);
      const actual = await run(quantized);
      // 16 products, each off by at most half a step of x (6 / 255) times |w| ≤ 7, plus half a step of w (7 / 127) times |x| ≤ 3.
      const bound = 16 * ((6 / 255 / 2) * 7 + (7 / 127 / 2) * 3);
      for (const [index, value] of actual.entries())
        expect(Math.abs(value - (expected[index] ?? 0))).toBeLessThan(bound / 2);
      expect(await run(model)).toEqual(expected); // the model itself is as it was
    },
  );

  test('weights are int8, one scale per output channel, the largest of each at ±127', async () => {
    const { model } = await quantizeModel(linearModel(), recipe('dynamic'));
    const stored = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const weights = stored.get('layer.weight.int8');
    expect(weights?.dataType).toBe(DataType.INT8);
    expect(stored.has('layer.weight')).toBe(false);
    const integers = weights ? [...tensorElements(weights)].map(Number) : [];
    for (let channel = 0; channel < 8; channel++) {
      const column = integers.filter((_, index) => index % 8 === channel).map(Math.abs);
      expect(Math.max(...column)).toBe(channel === 0 || channel === 3 ? 0 : 127);
    }
  });

  test('by one scale for all channels, or by a range centred on 0, if a rule says so', async () => {
    const model = linearModel();
    const statistics = await calibrate(model, ['x'], samples);
    const text =
      'description: x\nrules: [{ match: "**", treatment: static, symmetric: true, weights: { per: tensor } }]';
    const { model: quantized } = await quantizeModel(model, parseRecipe(text, 'it.yaml'), { statistics });
    const stored = new Map(quantized.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const elements = (name: string) => {
      const tensor = stored.get(name);
      return tensor ? [...tensorElements(tensor)].map(Number) : [];
    };
    expect(new Set(elements('layer.weight.scale')).size).toBe(1);
    expect(elements('x.static_zero_point')).toEqual([128]);
    const expected = await run(model);
    for (const [index, value] of (await run(quantized)).entries())
      expect(Math.abs(value - (expected[index] ?? 0))).toBeLessThan(1.5);
  });

  test('a recipe that does not fit the model is refused', async () => {
    await expect(quantizeModel(linearModel(), recipe('dynamic', ['**', 'typo.**']))).rejects.toThrow(UsageError);
    await expect(quantizeModel(linearModel(), recipe('static'))).rejects.toThrow(/needs statistics of x/);
  });
});

describe('the bundled model', () => {
  let source: ModelPackage;
  beforeAll(async () => {
    source = await readPackage(join(packageRoot, 'assets/nano'));
  });

  test('everything that a bundled recipe quantizes runs as integers in ONNX Runtime', async () => {
    const plan = planCalibration(await openCoco(join(packageRoot, 'assets/shapes/calib')), 2, 0);
    for (const name of ['dynamic', 'mixed', 'smallest']) {
      const bundled = await readRecipe(name);
      const values = valuesToObserve(source.model, bundled);
      const { statistics } = await calibrateDataset(source, values, plan);
      const { model, counts } = await quantizeModel(source.model, bundled, { statistics });
      const { value: sample } = await calibrationFeeds(source, plan.items).next();
      const nodes = await profileRun(modelBytes(model), {}, sample?.feeds ?? {});
      const count = (pattern: RegExp) => nodes.filter((node) => pattern.test(node.operator)).length;
      expect(count(/^(DynamicQuantizeMatMul|MatMulIntegerToFloat|MatMulInteger|QLinearConv)$/)).toBe(
        counts.dynamic + counts.static + (counts.activations.MatMul ?? 0),
      );
      expect(counts.dynamic + counts.static).toBeGreaterThan(80);
      // What is left are weights that are kept as integers (an embedding is looked up without) and results of convolutions.
      const { unfused } = await lintModel(model, sample?.feeds ?? {});
      expect(unfused.filter(({ kind }) => kind === 'pair')).toEqual([]);
      expect(unfused.filter(({ kind }) => kind === 'stored')).toHaveLength(counts['weight-only'] - 1);
    }
  });

  test('the linter finds nothing in what bundled recipes make, and what ONNX Runtime cannot fuse', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    const good = await lintModel(model, source.family.blankFeeds(source, { tokens: 8 }));
    expect(good.unfused.filter(({ kind }) => kind === 'pair')).toEqual([]);
    expect(good.integerProducts).toBeGreaterThan(150);

    const softmax = model.graph.node.find((node) => node.opType === 'Softmax');
    const name = softmax?.input[0] ?? '';
    const affine = ['test.scale', 'test.zero_point'];
    model.graph.initializer.push(
      makeTensor('test.scale', [], Float32Array.of(0.1)),
      makeTensor('test.zero_point', [], Uint8Array.of(128)),
    );
    const pair = [
      makeNode('QuantizeLinear', 'pair/QuantizeLinear', [name, ...affine], ['test.uint8']),
      makeNode('DequantizeLinear', 'pair/DequantizeLinear', ['test.uint8', ...affine], ['test.float']),
    ];
    if (softmax) softmax.input[0] = 'test.float';
    model.graph.node.push(...pair);
    sortTopologically(model.graph);
    const bad = await lintModel(model, source.family.blankFeeds(source, { tokens: 8 }));
    expect(bad.unfused.find(({ kind }) => kind === 'pair')).toMatchObject({ node: 'pair/DequantizeLinear' });
  });

  const inputProjections = [0, 1, 2, 3].map((level) => `model.input_proj_vision.${level}.0`);

  test('what is sensitive stays float by the default recipe', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    expect(
      findQuantizable(model).flatMap(({ weight, modes, path }) => (weight && modes.includes('static') ? [path] : [])),
    ).toEqual(['model.backbone.conv_encoder.model.embeddings.patch_embeddings.projection', ...inputProjections]);
    const bundled = await readRecipe('mixed');
    const plan = planCalibration(await openCoco(join(packageRoot, 'assets/shapes/calib')), 1, 0);
    const { statistics } = await calibrateDataset(source, valuesToObserve(source.model, bundled), plan);
    const quantized = await quantizeModel(source.model, bundled, { statistics });
    const float = findQuantizable(quantized.model).flatMap(({ weight, path }) => (weight ? [path] : []));
    for (const part of [
      'model.decoder.layers.0.fc1',
      'bbox_embed.0.layers.0',
      'model.encoder.layers.0.deformable_layer.self_attn.sampling_offsets',
    ])
      expect(float).toContain(part);
    expect(float).not.toContain('model.encoder.layers.0.deformable_layer.fc1');
  });

  test('a quantized half is cut out as a float one is', async () => {
    const { model } = await quantizeModel(source.model, await readRecipe('dynamic'));
    expect(extractHalf(model, 'text').graph.output.map((output) => output.name)).toEqual(['text_features']);
  });
});
