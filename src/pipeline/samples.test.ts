/** Settings of pictures are honoured or refused, never ignored. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelBytes } from '../onnx/write.ts';
import { toyModel } from '../testing/toy-model.ts';
import { compare } from './compare-step.ts';
import { inspect } from './inspect-step.ts';
import { measureInputs } from './measure-step.ts';
import { refuseUnusedPictures } from './samples.ts';
import { openAnyModel } from './sources.ts';

const DETECTOR = 'assets/nano';
const PHOTO = 'assets/shapes/val/000082.jpg';
const pictures = { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] } as const;
const shapes = { image: [1, 3, 8, 8], ids: [1, 4] };

let folder = '';
let toy = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-'));
  toy = join(folder, 'toy.onnx');
  await writeFile(toy, modelBytes(toyModel()));
});
afterAll(() => rm(folder, { recursive: true }));

test('a detector has its own preprocessing', async () => {
  const other = /carries the preprocessing of its images/;
  const dataset = 'assets/shapes/val';
  await expect(inspect({ model: DETECTOR, profile: PHOTO, pictures })).rejects.toThrow(other);
  await expect(compare({ model: DETECTOR, quantized: DETECTOR, dataset, pictures })).rejects.toThrow(other);
});

test('without a picture there is nothing to prepare', async () => {
  await expect(inspect({ model: toy, shapes, pictures })).rejects.toThrow(/without a picture/);
  await expect(measureInputs({ model: toy, shapes, pictures })).rejects.toThrow(/without a picture/);
  const samples = { total: 0, key: '', async *samples() {} };
  await expect(async () => refuseUnusedPictures(await openAnyModel(toy, {}), samples, pictures)).rejects.toThrow(
    /no effect on samples/,
  );
});

test('shapes are for inputs that are not given', async () => {
  await expect(inspect({ model: toy, shapes, profile: PHOTO, pictures })).rejects.toThrow(/`shapes` has no effect/);
});
