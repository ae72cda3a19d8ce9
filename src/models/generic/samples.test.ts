/** Inputs of any model, from files of arrays (written by NumPy) and from pictures (prepared by PIL and NumPy). */
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Dino8Error } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import type { Model } from '../../onnx/read.ts';
import { DataType, type Shape } from '../../onnx/types.ts';
import type { Sample, SampleSource } from '../../quant/observe/sample.ts';
import { floatData, tensorOf } from '../../runtime/tensor.ts';
import { readSafetensors } from '../checkpoint/safetensors.ts';
import { type ImageSampleOptions, imageSamples } from './image-samples.ts';
import { findTensorFiles, tensorSamples } from './tensor-samples.ts';

const fixtures = join(packageRoot, 'test/fixtures/numpy');
const folder = mkdtempSync(join(tmpdir(), 'samples-'));
afterAll(() => rmSync(folder, { recursive: true }));

function modelOf(inputs: Readonly<Record<string, readonly [DataType, Shape]>>): Model {
  const b = new GraphBuilder('toy');
  const values = Object.entries(inputs).map(([name, [type, shape]]) => b.input(name, type, shape));
  for (const [index, value] of values.entries()) b.output(`y${index}`, value);
  return b.finish();
}

async function all(source: SampleSource, accept?: (place: number) => boolean): Promise<Sample[]> {
  const samples: Sample[] = [];
  for await (const sample of source.samples(accept)) samples.push(sample);
  return samples;
}

describe('files of arrays', () => {
  const oneInput = modelOf({ x: [DataType.FLOAT, [3, 'n', 5]] });

  test('a .npy file is the input of a model that has only one', async () => {
    const [sample] = await all(tensorSamples(oneInput, [join(fixtures, 'by_columns.npy')]));
    const { by_columns: expected } = Object.fromEntries(await readSafetensors(join(fixtures, 'arrays.safetensors')));
    expect(sample?.feeds.x?.shape).toEqual([3, 4, 5]);
    expect(sample?.feeds.x && expected && [...floatData(sample.feeds.x)]).toEqual([
      ...(expected ? floatData(tensorOf(expected)) : []),
    ]);
  });

  test('the files of a folder are samples in the order of their names, and can be read in parts', async () => {
    for (const name of ['b.npy', 'a.npy', 'c.npy']) cpSync(join(fixtures, 'by_columns.npy'), join(folder, name));
    writeFileSync(join(folder, 'notes.txt'), '');
    const files = await findTensorFiles(folder);
    expect(files).toEqual(['a.npy', 'b.npy', 'c.npy'].map((name) => join(folder, name)));
    const source = tensorSamples(oneInput, files);
    expect(source.total).toBe(3);
    const samples = await all(source, (place) => place !== 1);
    expect(samples.map(({ place, source: file }) => [place, file])).toEqual([
      [0, files[0]],
      [2, files[2]],
    ]);
    expect(tensorSamples(oneInput, files).key).toBe(source.key);
    expect(tensorSamples(oneInput, files.slice(1)).key).not.toBe(source.key);
  });

  test.each<[string, Model, string, string]>([
    ['an array that is no input', modelOf({ scalar: [DataType.FLOAT, []] }), 'stored.npz', 'no input of the model'],
    [
      'a missing input',
      modelOf({ x: [DataType.FLOAT, [3, 4, 5]], y: [DataType.FLOAT, []] }),
      'big_endian.npy',
      'several inputs',
    ],
    ['another element type', modelOf({ x: [DataType.INT64, [3, 4, 5]] }), 'by_columns.npy', 'convert the array'],
    ['another rank', modelOf({ x: [DataType.FLOAT, [3, 4]] }), 'by_columns.npy', 'takes [3, 4]'],
    ['another size', modelOf({ x: [DataType.FLOAT, [3, 4, 6]] }), 'by_columns.npy', 'takes [3, 4, 6]'],
    ['two sizes for one name', modelOf({ x: [DataType.FLOAT, ['n', 'n', 5]] }), 'by_columns.npy', 'must be equal'],
    ['a file that does not exist', oneInput, 'missing.npz', 'does not exist'],
  ])('%s is an error', async (_, model, file, reason) => {
    const reading = all(tensorSamples(model, [join(fixtures, file)]));
    await expect(reading).rejects.toThrow(Dino8Error);
    await expect(reading).rejects.toThrow(reason);
  });

  test('a folder without arrays is an error', async () => {
    await expect(findTensorFiles(join(packageRoot, 'src'))).rejects.toThrow('names no arrays');
  });
});

describe('pictures', () => {
  const picture = join(fixtures, 'picture.png');
  const options: ImageSampleOptions = {
    mean: [0.4, 0.5, 0.6],
    std: [0.2, 0.3, 0.4],
    scale: 1 / 255,
    layout: 'nchw',
    channels: 'rgb',
    size: { height: 6, width: 9 },
  };
  const nchw = modelOf({ x: [DataType.FLOAT, ['batch', 3, 'height', 'width']] });
  const nhwc = modelOf({ x: [DataType.FLOAT, ['batch', 'height', 'width', 3]] });

  test.each<[string, Model, ImageSampleOptions]>([
    ['nchw_rgb', nchw, options],
    ['nhwc_bgr', nhwc, { ...options, layout: 'nhwc', channels: 'bgr' }],
    [
      'nhwc_bytes',
      modelOf({ x: [DataType.UINT8, [1, 6, 9, 3]] }),
      { mean: [0, 0, 0], std: [1, 1, 1], scale: 1, layout: 'nhwc', channels: 'rgb' },
    ],
  ])('%s agrees with PIL and NumPy', async (name, model, settings) => {
    const expected = (await readSafetensors(join(fixtures, 'picture.safetensors'))).get(name);
    const [sample] = await all(imageSamples(model, [picture], settings));
    const found = sample?.feeds.x;
    expect(found?.shape).toEqual(expected?.shape);
    const other = expected ? tensorOf(expected).data : [];
    for (const [index, value] of [...(found?.data ?? [])].entries())
      expect(Number(value)).toBeCloseTo(Number(other[index]), 5);
  });

  test.each<[string, Model, ImageSampleOptions, string]>([
    ['no size for a model of any size', nchw, { ...options, size: undefined }, 'state the size'],
    [
      'a size that the model does not take',
      modelOf({ x: [DataType.FLOAT, [1, 3, 8, 8]] }),
      options,
      'takes pictures of 8x8',
    ],
    ['the other layout', nhwc, options, 'layout nchw'],
    [
      'an input of one channel',
      modelOf({ x: [DataType.FLOAT, [1, 1, 8, 8]] }),
      options,
      'no picture with three channels',
    ],
    [
      'several inputs',
      modelOf({ x: [DataType.FLOAT, [1, 3, 8, 8]], y: [DataType.FLOAT, [1]] }),
      options,
      'several inputs',
    ],
    [
      'an input besides the picture',
      modelOf({ x: [DataType.FLOAT, [1, 3, 8, 8]], y: [DataType.FLOAT, [1]] }),
      { ...options, input: 'x' },
      'needs y besides',
    ],
    ['an unknown input', nchw, { ...options, input: 'z' }, 'no input z'],
  ])('%s is an error', (_, model, settings, reason) => {
    expect(() => imageSamples(model, [picture], settings)).toThrow(reason);
  });

  test('an element type that is no number of a picture is an error', async () => {
    const model = modelOf({ x: [DataType.INT64, [1, 3, 8, 8]] });
    await expect(all(imageSamples(model, [picture], { ...options, size: undefined }))).rejects.toThrow('INT64');
  });
});
