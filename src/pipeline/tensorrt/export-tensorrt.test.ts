/** A bundle's models load in the version of TensorRT that they are for, by its tables, and find what the model finds. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { bundledCalibration } from '../../data/bundled.ts';
import { writeSmallCheckpoint } from '../../models/grounding-dino/testing/small-checkpoint.ts';
import { readPackage } from '../../models/package/package.ts';
import { setAttribute } from '../../onnx/attributes.ts';
import { standardVersion } from '../../onnx/opset.ts';
import { type Model, readModel } from '../../onnx/read.ts';
import { tensorElements } from '../../onnx/tensor.ts';
import { DataType, type TensorProto } from '../../onnx/types.ts';
import { withPluginBodies } from '../../quant/targets/tensorrt/attention-plugin.ts';
import { agreement, decodePicture, findBoxes, type GoldenCheck } from '../bundles/golden.ts';
import { detect } from '../detect-step.ts';
import { lint } from '../lint-step.ts';
import { quantize } from '../quantize-step.ts';
import { specializeModel } from '../specialize-step.ts';
import type { TensorRtManifest } from './engine-list.ts';
import { type ExportTensorRtOptions, exportTensorRt } from './export-tensorrt.ts';

const folder = mkdtempSync(join(tmpdir(), 'dino8-export-'));
afterAll(() => rmSync(folder, { recursive: true }));
const nano = join(packageRoot, 'assets/nano');
const picture = join(packageRoot, 'assets/shapes/val/000082.jpg');
const PHRASES = ['white star', 'orange ring', 'red circle'];

let small: string;
let quantized: string;
beforeAll(async () => {
  small = await writeSmallCheckpoint(join(folder, 'checkpoint'));
  quantized = join(folder, 'small.trt.onnx');
  await quantize({
    model: small,
    output: quantized,
    recipe: 'static',
    target: 'tensorrt',
    calibration: bundledCalibration(),
    calibrationImages: 2,
  });
});

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const count = ({ graph }: Model, type: string) => graph.node.filter(({ opType }) => opType === type).length;

describe.each([
  ['8.5', false, false],
  ['8.6', true, false],
  ['10.3', true, true],
  ['11', true, true],
])('for TensorRT %s', (tensorrt, hasLayerNormalization, hasIntegerWeights) => {
  test('lint finds nothing in the models, and they have the form of the version', async () => {
    const output = join(folder, `bundle ${tensorrt}`);
    // The sizes are part of models for one size, and are computed in one for several, which TensorRT 8 and later versions do differently.
    const isForSeveral = tensorrt === '8.5' || tensorrt === '10.3';
    const sizes = isForSeveral ? [96, { height: 64, width: 96 }] : [96];
    const made = await exportTensorRt({ model: quantized, output, tensorrt, sizes, phrases: PHRASES });
    expect(made).toMatchObject({ tensorrt, precision: 'int8' });
    const names = isForSeveral ? ['64x96', '96x96', 'any', '64x96.plugin'] : ['96x96', '96x96.plugin'];
    expect(made.engines.map(({ name }) => name)).toEqual(names);
    const models = readdirSync(output).filter((name) => name.endsWith('.onnx') && !name.includes('implicit'));
    const others = isForSeveral ? ['model.96x96.onnx', 'model.any.onnx'] : [];
    expect(models).toEqual([...others, 'model.onnx', 'model.plugin.onnx']);
    for (const name of models) {
      const path = join(output, name);
      expect((await lint({ model: path, target: 'tensorrt', version: tensorrt })).findings).toEqual([]);
      const model = await readModel(path);
      expect([standardVersion(model), model.functions.length]).toEqual([hasIntegerWeights ? 19 : 17, 0]);
      const halves = model.graph.initializer.filter(({ dataType }) => dataType === DataType.FLOAT16);
      expect(halves.length > 0).toBe(hasIntegerWeights);
      expect(count(model, 'LayerNormalization') > 0).toBe(hasLayerNormalization);
      const integers = model.graph.initializer.filter(
        ({ dataType, dims }) => dataType === DataType.INT8 && dims.length > 1,
      );
      expect(integers.length > 0).toBe(hasIntegerWeights);
      expect(count(model, 'QuantizeLinear')).toBeGreaterThan(10);
      expect(model.graph.input.map((each) => each.name)).toEqual(['pixel_values']);
    }
    expect(readdirSync(output)).toEqual(
      expect.arrayContaining([
        'README.md',
        'bench.sh',
        'build.sh',
        'compare.py',
        'run.py',
        'trtexec.sh',
        'golden.json',
      ]),
    );
    expect(readFileSync(join(output, 'README.md'), 'utf8')).not.toMatch(/\{\{/);
  });
});

/** The scales of a calibration cache, as `readScalesFromCalibrationCache` of NVIDIA's samples reads them. */
function readCache(text: string): Map<string, number> {
  const [, ...lines] = text.trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const colon = line.lastIndexOf(':');
      const bits = new DataView(new ArrayBuffer(4));
      bits.setUint32(0, Number.parseInt(line.slice(colon + 2, colon + 10), 16));
      return [line.slice(0, colon), bits.getFloat32(0)];
    }),
  );
}

test.each(['8.5', '8.6'])(
  'a bundle for TensorRT %s has the scales of its pairs as a calibration cache',
  async (version) => {
    const output = join(folder, `bundle ${version}`);
    const cache = readFileSync(join(output, 'calibration.cache'), 'utf8');
    expect(cache.split('\n')[0]).toMatch(/^TRT-8[56]02-EntropyCalibration2$/);
    const scales = readCache(cache);
    const path = join(output, 'model.implicit.onnx');
    const implicit = await readModel(path);
    expect([count(implicit, 'QuantizeLinear'), count(implicit, 'DequantizeLinear')]).toEqual([0, 0]);
    expect((await lint({ model: path, target: 'tensorrt', version })).findings).toEqual([]);
    const values = new Set([
      ...implicit.graph.input.map(({ name }) => name),
      ...implicit.graph.node.flatMap((node) => node.output),
    ]);
    for (const name of scales.keys()) expect(values).toContain(name);
    // The scales are those of the activations in the model with pairs, each of a value of its own.
    const explicit = await readModel(join(output, 'model.onnx'));
    const stored = new Map(explicit.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const pairs = explicit.graph.node.filter(
      ({ opType, input }) => opType === 'QuantizeLinear' && !stored.has(input[0] ?? ''),
    );
    const expected = new Map(
      pairs.map(({ input: [value = '', scale = ''] }) => [
        value,
        Number(tensorElements(stored.get(scale) as TensorProto)[0]),
      ]),
    );
    expect([...scales.values()].toSorted()).toEqual([...expected.values()].toSorted());
    for (const name of ['10.3', '11'])
      expect(existsSync(join(folder, `bundle ${name}`, 'calibration.cache'))).toBe(false);
  },
);

describe('a bundle of the bundled model', () => {
  const output = join(folder, 'nano');
  const size = { height: 192, width: 256 };
  beforeAll(async () => {
    await exportTensorRt({ model: nano, output, tensorrt: '8.5', sizes: [size], phrases: PHRASES, picture });
  });

  test('finds what the model finds, without phrases and preprocessing of its own', async () => {
    const options = { images: [picture], threshold: 0.2 };
    const [expected] = await detect({ ...options, model: nano, phrases: PHRASES });
    const [found] = await detect({ ...options, model: join(output, 'model.onnx') });
    expect(found?.detections.length).toBeGreaterThan(1);
    expect(found?.detections.map(({ label }) => label)).toEqual(expected?.detections.map(({ label }) => label));
    for (const [at, { score, box }] of (expected?.detections ?? []).entries()) {
      expect(Math.abs((found?.detections[at]?.score ?? 9) - score)).toBeLessThan(1e-5);
      for (const [side, value] of box.entries())
        expect(Math.abs((found?.detections[at]?.box[side] ?? -99) - value)).toBeLessThan(1e-2);
    }
  });

  test('has labels and pre- and post-processing as data', () => {
    const manifest: TensorRtManifest = readJson(join(output, 'bundle.json'));
    expect(manifest).toMatchObject({ format: 1, tensorrt: '8.5', precision: 'float', input: 'pixel_values' });
    expect(manifest.postprocessing.phrases.map(({ label }) => label)).toEqual(PHRASES);
    expect(manifest.preprocessing).toMatchObject({ resample: 2, mean: [0.485, 0.456, 0.406] });
    expect(manifest.engines).toEqual([
      { name: '192x256', size, model: 'model.onnx' },
      { name: '192x256.plugin', size, model: 'model.plugin.onnx' },
    ]);
    expect(readFileSync(join(output, 'golden.json')).length).toBeLessThan(200_000);
  });

  test('has a model with the inputs that the plug-in of TensorRT documents, which finds the same', async () => {
    // https://github.com/NVIDIA/TensorRT/blob/main/plugin/multiscaleDeformableAttnPlugin/README.md
    const { model, ...source } = await readPackage(join(output, 'model.plugin.onnx'));
    const stored = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
    const calls = model.graph.node.filter(({ opType }) => opType === 'MultiscaleDeformableAttnPlugin_TRT');
    expect(calls.length).toBe(count((await readPackage(join(output, 'model.onnx'))).model, 'GridSample') / 4);
    expect([count(model, 'GridSample'), model.functions.length]).toEqual([0, 0]);
    for (const { domain, input, attribute } of calls) {
      const [shapes, starts] = input.slice(1, 3).map((name) => stored.get(name));
      expect([domain, input.length, shapes?.dataType, starts?.dataType]).toEqual([
        '',
        5,
        DataType.INT32,
        DataType.INT32,
      ]);
      // The maps of a picture of 192x256, and the sums of the positions before each.
      expect([...tensorElements(shapes as TensorProto)]).toEqual([24, 32, 12, 16, 6, 8, 3, 4]);
      expect([...tensorElements(starts as TensorProto)]).toEqual([0, 768, 960, 1008]);
      expect(attribute.map(({ name }) => name)).toEqual(['plugin_version', 'plugin_namespace']);
    }
    const check: GoldenCheck = readJson(join(output, 'golden.json'));
    const found = await findBoxes({ ...source, model: withPluginBodies(model) }, await decodePicture(check), undefined);
    expect(agreement(check.boxes['192x256.plugin'] ?? [], found, { overlap: 0.999, score: 1e-5 })).toBe(1);
  });

  test('has a check that fails if GridSample takes the nearest pixel, as TensorRT does with the newer name of the mode', async () => {
    const check: GoldenCheck = readJson(join(output, 'golden.json'));
    const expected = check.boxes['192x256'] ?? [];
    expect(expected.length).toBeGreaterThan(1);
    const made = await readPackage(join(output, 'model.onnx'));
    const share = async () =>
      agreement(expected, await findBoxes(made, await decodePicture(check), undefined), check.limits);
    expect(await share()).toBe(1);
    for (const node of made.model.graph.node) if (node.opType === 'GridSample') setAttribute(node, 'mode', 'nearest');
    expect(await share()).toBeLessThan(check.limits.share);
  });
});

describe('what is not possible is refused in a sentence', () => {
  const long = Array.from({ length: 200 }, (_, at) => ({ exact: `red circle ${'blue '.repeat(at % 3)}` }));
  test.each<[string, Partial<ExportTensorRtOptions>, RegExp]>([
    [
      'no version',
      { tensorrt: '' },
      /version of TensorRT on the device is missing; name it with `tensorrt`, one of 8\.5, 8\.6, 10\.3 /,
    ],
    ['an unknown version', { tensorrt: '9.1' }, /makes no bundle for TensorRT "9\.1"/],
    ['a version before the first of its kind', { tensorrt: '10.2' }, /makes no bundle for TensorRT "10\.2"/],
    ['what is no version', { tensorrt: '10.x' }, /makes no bundle for TensorRT "10\.x"/],
    ['no size', { sizes: [] }, /needs a size/],
    [
      'a size that is no multiple',
      { sizes: [100] },
      /100x100 in `sizes` is not made of multiples of 32 pixels.*take 96x96/,
    ],
    ['a size that is none', { sizes: [-32] }, /whole pixels, not -32x-32/],
    [
      'a size that is too small',
      { model: nano, sizes: [32] },
      /too few positions for the queries of the model; give at least/,
    ],
    ['a size that is too large', { sizes: [64_000] }, /64000 is not possible/],
    ['a size twice', { sizes: [96, { height: 96, width: 96 }] }, /96x96 is twice/],
    ['too many sizes', { sizes: Array.from({ length: 17 }, (_, at) => 64 + 32 * at) }, /17 `sizes` are more than/],
    ['no phrases', { phrases: undefined }, /made for fixed phrases.*`phrases`/],
    ['phrases that are too long', { phrases: long }, /fill \d+ prompts/],
    ['a picture that is not there', { picture: '/nowhere.png' }, /nowhere\.png does not exist/],
  ])('%s', async (name, options, message) => {
    const output = join(folder, `not ${name}`);
    const exporting = exportTensorRt({
      model: small,
      output,
      tensorrt: '8.6',
      sizes: [96],
      phrases: PHRASES,
      ...options,
    });
    await expect(exporting).rejects.toThrow(message);
    expect(existsSync(output)).toBe(false);
  });

  test('of a model for several prompts no other, and sizes that a model is not made for', async () => {
    const several = join(folder, 'several.onnx');
    await specializeModel({ model: small, output: several, prompts: { shapes: PHRASES, stars: ['white star'] } });
    const options = { model: several, tensorrt: '8.6', sizes: [96] };
    const refused = (more: object) => exportTensorRt({ ...options, output: join(folder, 'refused'), ...more });
    await expect(refused({})).rejects.toThrow(/has several prompts; choose one of shapes, stars by `prompt`/);
    await expect(refused({ prompt: 'cars' })).rejects.toThrow(/no prompt "cars"; its prompts are shapes, stars/);
    await expect(refused({ prompt: 'stars', phrases: PHRASES })).rejects.toThrow(/`prompt` chooses from the prompts/);
    await expect(refused({ prompt: 'stars', tokens: 16 })).rejects.toThrow(/leave out one of them/);
    const output = join(folder, 'of one prompt');
    await exportTensorRt({ ...options, output, prompt: 'stars' });
    const { postprocessing }: TensorRtManifest = readJson(join(output, 'bundle.json'));
    expect(postprocessing.phrases.map(({ label }) => label)).toEqual(['white star']);

    const special = join(folder, 'special.onnx');
    await specializeModel({ model: small, output: special, height: 96, width: 96, batch: 2 });
    await expect(refused({ model: special, phrases: PHRASES })).rejects.toThrow(
      /already made for pixel_values of 2x3x96x96; specialize the model that it was made from/,
    );
  });

  test('a model that is quantized for another runtime, and a file in place of the folder', async () => {
    const model = join(folder, 'dynamic.onnx');
    await quantize({ model: small, output: model, recipe: 'dynamic' });
    const output = join(folder, 'no bundle');
    const options = { output, tensorrt: '8.6', sizes: [96], phrases: PHRASES };
    await expect(exportTensorRt({ ...options, model })).rejects.toThrow(
      /dynamic\.onnx is quantized for the target ort-cpu, which TensorRT does not run; quantize the float model for the target tensorrt/,
    );
    writeFileSync(output, '');
    await expect(exportTensorRt({ ...options, model: small })).rejects.toThrow(/is a file where a folder is needed/);
    await expect(exportTensorRt({ ...options, model: small, output: folder })).rejects.toThrow(/already holds files/);
  });
});
