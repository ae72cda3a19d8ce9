/** Every step that writes a file is asked to write it over one that it reads, and refuses before it begins. */
import { cp, lstat, mkdir, mkdtemp, readdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { loadModel } from '../models/package/package.ts';
import { getMetadata } from '../onnx/metadata.ts';
import { readModel } from '../onnx/read.ts';
import { writeModel } from '../onnx/write.ts';
import { calibrate, mergeStatistics } from './calibrate-step.ts';
import { compare } from './compare-step.ts';
import { convert } from './convert-step.ts';
import { detect } from './detect-step.ts';
import { evaluate } from './evaluate-step.ts';
import { inspect } from './inspect-step.ts';
import { qat } from './qat-step.ts';
import { quantize } from './quantize-step.ts';
import { sensitivity } from './sensitivity-step.ts';
import { specializeModel } from './specialize-step.ts';
import { train } from './train-step.ts';
import { tune } from './tune-step.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const dataset = join(packageRoot, 'assets/shapes/calib');
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-step-files-'));
  await writeSmallCheckpoint(at('checkpoint'));
  await convert({ checkpoint: at('checkpoint'), output: at('model.onnx') });
  await convert({ checkpoint: at('checkpoint'), output: at('model'), layout: 'combined' });
  await cp(at('model.onnx'), at('int8.onnx'));
  await symlink(at('model.onnx'), at('link.onnx'));
  await mkdir(at('tokenizer'));
  for (const name of ['tokenizer.json', 'tokenizer_config.json'])
    await cp(join(at('checkpoint'), name), join(at('tokenizer'), name));
  // The external data of a model may have any name.
  await writeModel(await readModel(at('model.onnx')), at('abc.onnx'), { externalData: true });
  await rename(at('abc.onnx.data'), at('weightsx.onnx'));
  const text = await readFile(at('abc.onnx'), 'latin1');
  await writeFile(at('abc.onnx'), text.replaceAll('abc.onnx.data', 'weightsx.onnx'), 'latin1');
  await writeFile(at('recipe.yaml'), "description: x\nrules: [{match: '**', treatment: dynamic}]");
  await writeFile(at('statistics.json'), '{}');
});

const steps: [string, () => Promise<unknown>][] = [
  [
    'convert into the folder of the checkpoint',
    () => convert({ checkpoint: at('checkpoint'), output: at('checkpoint') }),
  ],
  [
    'convert into the folder of the tokenizer',
    () => convert({ checkpoint: at('checkpoint'), tokenizer: at('tokenizer'), output: at('tokenizer') }),
  ],
  [
    'quantize to the external data of the model',
    () => quantize({ model: at('abc.onnx'), output: at('weightsx.onnx'), recipe: 'dynamic' }),
  ],
  ['quantize to the model', () => quantize({ model: at('model.onnx'), output: at('model.onnx'), recipe: 'dynamic' })],
  ['quantize to a link', () => quantize({ model: at('model.onnx'), output: at('link.onnx'), recipe: 'dynamic' })],
  ['quantize into the folder', () => quantize({ model: at('model'), output: at('model'), recipe: 'dynamic' })],
  [
    'quantize to a half',
    () => quantize({ model: at('model'), output: at('model/onnx/model.onnx'), recipe: 'dynamic' }),
  ],
  [
    'specialize to the model',
    () => specializeModel({ model: at('model.onnx'), output: at('model.onnx'), height: 64, width: 64 }),
  ],
  [
    'calibrate to the recipe',
    () => calibrate({ model: at('model.onnx'), dataset, output: at('recipe.yaml'), recipe: at('recipe.yaml') }),
  ],
  ['calibrate to the model', () => calibrate({ model: at('model.onnx'), dataset, output: at('model.onnx') })],
  ['merge to a part', () => mergeStatistics({ parts: [at('statistics.json')], output: at('statistics.json') })],
  [
    'evaluate to the annotations',
    () => evaluate({ model: at('model.onnx'), dataset, output: join(dataset, '../annotations/instances_calib.json') }),
  ],
  [
    'compare to the quantized model',
    () => compare({ model: at('model.onnx'), quantized: at('int8.onnx'), dataset, report: at('int8.onnx') }),
  ],
  [
    'inspect to the picture',
    () =>
      inspect({ model: at('model.onnx'), profile: join(dataset, '000001.jpg'), report: join(dataset, '000001.jpg') }),
  ],
  [
    'sensitivity to one file twice',
    () => sensitivity({ model: at('model.onnx'), dataset, output: at('x.json'), report: at('x.json') }),
  ],
  [
    'tune to the statistics',
    () => tune({ model: at('model.onnx'), dataset, statistics: at('statistics.json'), output: at('statistics.json') }),
  ],
  ['train into the checkpoint', () => train({ checkpoint: at('checkpoint'), dataset, output: at('checkpoint') })],
  [
    'qat into the checkpoint',
    () => qat({ checkpoint: at('checkpoint'), dataset, output: at('checkpoint'), recipe: 'dynamic' }),
  ],
];

test.each(steps)('%s is refused', async (_, step) => {
  const before = await Promise.all(['model.onnx', 'recipe.yaml', 'int8.onnx'].map((name) => readFile(at(name))));
  await expect(step()).rejects.toThrow(/would be written|Two results would be/);
  const after = await Promise.all(['model.onnx', 'recipe.yaml', 'int8.onnx'].map((name) => readFile(at(name))));
  for (const [index, file] of after.entries()) expect(before[index]?.equals(file)).toBe(true);
  expect((await readdir(folder)).filter((name) => /partial|training|tmp/.test(name))).toEqual([]);
});

test('a path that ends as that of a folder is no file', async () => {
  const step = sensitivity({ model: at('model.onnx'), dataset, output: at('none/') });
  await expect(step).rejects.toThrow(/none\/ is a directory where a file is needed; name a file in it/);
});

test('a model may be written again where it was written before, beside its input', async () => {
  await convert({ checkpoint: at('checkpoint'), output: at('checkpoint/model.onnx') });
  await convert({ checkpoint: at('checkpoint'), output: at('checkpoint/model.onnx') });
});

describe('with `overwrite`', () => {
  const inside = (name: string) => join(folder, 'own', name);
  beforeAll(async () => {
    await mkdir(inside('.'));
    await cp(at('model.onnx'), inside('model.onnx'));
    await symlink(inside('model.onnx'), inside('link.onnx'));
    await cp(at('model'), inside('model'), { recursive: true });
  });

  test('a model is written over the one that it is made of, by a link too', async () => {
    const before = await readFile(inside('model.onnx'));
    await quantize({ model: inside('model.onnx'), output: inside('link.onnx'), recipe: 'dynamic', overwrite: true });
    expect((await lstat(inside('link.onnx'))).isSymbolicLink()).toBe(true);
    const { layers } = JSON.parse(getMetadata(await readModel(inside('model.onnx')), 'dino8.quantization') ?? '{}');
    expect(layers).toBeDefined();
    expect(before.equals(await readFile(inside('model.onnx')))).toBe(false);
  });

  test('a folder is written over itself', async () => {
    await quantize({ model: inside('model'), output: inside('model'), recipe: 'dynamic', overwrite: true });
    expect((await loadModel(inside('model'))).family.name).toBe('grounding-dino');
  });

  test('two results are still not one file', async () => {
    const step = sensitivity({
      model: at('model.onnx'),
      dataset,
      output: at('x.json'),
      report: at('x.json'),
      overwrite: true,
    });
    await expect(step).rejects.toThrow(/Two results/);
  });

  test('a picture is written over by its drawing', async () => {
    await cp(join(dataset, '000001.jpg'), inside('x.jpg'));
    const before = await readFile(inside('x.jpg'));
    const options = { model: at('model.onnx'), images: [inside('x.jpg')], phrases: 'star', drawInto: inside('x.jpg') };
    await expect(detect(options)).rejects.toThrow(/`overwrite`/);
    expect(before.equals(await readFile(inside('x.jpg')))).toBe(true);
    await detect({ ...options, overwrite: true });
    expect(before.equals(await readFile(inside('x.jpg')))).toBe(false);
  });
});
