/** A model written in each form is read back as the same model. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, pipeline } from '@huggingface/transformers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsageError } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { readDataset } from '../../data/datasets/read-dataset.ts';
import { readImage } from '../../data/image.ts';
import { Detector } from '../../detect/detector.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { copyModel } from '../../onnx/copy.ts';
import { removeMetadata, setMetadata } from '../../onnx/metadata.ts';
import { readModel } from '../../onnx/read.ts';
import { DataType } from '../../onnx/types.ts';
import { writeModel } from '../../onnx/write.ts';
import { detectionOf, trainingOf } from '../family.ts';
import { loadModel, type ModelPackage, readPackage, writePackage } from './package.ts';

let folder: string;
let source: ModelPackage;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-package-'));
  source = await readPackage(join(packageRoot, 'assets/nano'));
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const PHRASES = ['circle', 'square', 'star', 'triangle'];

async function boxesOf(model: ModelPackage, path: string) {
  await using detector = await Detector.create(model, { threads: 1 });
  return await detector.detect(await readImage(path), await detector.encodePrompt(PHRASES), 0.3);
}

async function firstImage(): Promise<string> {
  const dataset = await readDataset(join(packageRoot, 'assets/shapes/calib'));
  const image = dataset.images[0];
  if (!image) throw new Error('there are images');
  return dataset.pathOf(image);
}

test.each(['one.onnx', 'halves', 'combined'])('a model written to %s detects the same', async (name) => {
  const path = join(folder, name);
  await writePackage(source, path, name === 'halves' ? 'halves' : 'combined');
  const image = await firstImage();
  const [expected, actual] = [await boxesOf(source, image), await boxesOf(await readPackage(path), image)];
  expect(expected.length).toBeGreaterThan(0);
  expect(actual).toEqual(expected);
});

test('an ONNX file of another origin is of the generic family, and no detector', async () => {
  const b = new GraphBuilder('toy');
  b.output('y', b.relu(b.input('x', DataType.FLOAT, ['n', 3])), ['n', 3]);
  const path = join(folder, 'toy.onnx');
  await writeModel(b.finish(), path);
  const loaded = await loadModel(path);
  expect(loaded.family.name).toBe('generic');
  expect(loaded.family.blankFeeds(loaded, { shapes: new Map([['x', [2, 3]]]) }).x?.shape).toEqual([2, 3]);
  expect(() => loaded.family.blankFeeds(loaded)).toThrow(UsageError);
  expect(() => detectionOf(loaded)).toThrow(UsageError);
  expect(() => trainingOf(loaded)).toThrow(UsageError);
  await expect(readPackage(path)).rejects.toThrow(UsageError);
  await expect(writePackage(loaded, join(folder, 'toy'))).rejects.toThrow(UsageError);
});

test('a configuration of a model that dino8 does not know is refused by its model_type', async () => {
  const path = join(folder, 'unknown');
  await cp(join(packageRoot, 'assets/nano'), path, { recursive: true });
  await writeFile(join(path, 'config.json'), '{"model_type": "owlv2"}');
  await expect(loadModel(path)).rejects.toThrow(/config\.json.*"owlv2"/);
});

test('a folder with a model in another form is not written to', async () => {
  const path = join(folder, 'taken');
  await writePackage(source, path, 'halves');
  await expect(writePackage(source, path, 'combined')).rejects.toThrow(UsageError);
  await expect(writePackage(source, join(packageRoot, 'assets/nano'))).rejects.toThrow(/model\.safetensors/);
});

test('transformers.js runs the folder offline and finds the same boxes', async () => {
  const path = join(folder, 'web');
  await writePackage(source, path, 'combined');
  env.allowRemoteModels = false;
  env.localModelPath = '/';
  const find = await pipeline('zero-shot-object-detection', path, { device: 'cpu', dtype: 'fp32' });
  const image = await firstImage();
  const theirs = await find(image, [`${PHRASES.join('. ')}.`], { threshold: 0.3 });
  const ours = await boxesOf(source, image);
  expect(theirs.length).toBe(ours.length);
  // The scores are compared with a margin for the images, which each side resizes and normalises by itself.
  for (const [index, { score, box }] of theirs.entries()) {
    const same = ours[index];
    if (!same) throw new Error('as many boxes');
    expect(Math.abs(score - same.score)).toBeLessThan(0.01);
    const [x, y, width, height] = same.box;
    const corners = [x, y, x + width, y + height];
    for (const [side, value] of [box.xmin, box.ymin, box.xmax, box.ymax].entries())
      expect(Math.abs(value - (corners[side] ?? Number.NaN))).toBeLessThan(2); // theirs are cut to whole pixels
  }
  await find.dispose();
});

test('halves of two models are refused, and so is a half beside one of no known model', async () => {
  const other = { ...source, model: copyModel(source.model) };
  setMetadata(other.model, 'dino8.note', 'another model');
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  await writePackage(source, first, 'halves');
  await writePackage(other, second, 'halves');
  for (const half of ['text.onnx', 'detect.onnx']) {
    const mixed = join(folder, `mixed-${half}`);
    await cp(first, mixed, { recursive: true });
    await cp(join(second, half), join(mixed, half));
    await expect(loadModel(mixed)).rejects.toThrow(/holds halves of different models/);
    const own = await readModel(join(first, half));
    removeMetadata(own, 'dino8.half_of');
    await rm(join(mixed, half));
    await writeModel(own, join(mixed, half));
    await expect(readPackage(mixed)).rejects.toThrow(/holds halves of different models/);
  }
  await loadModel(first);
});
