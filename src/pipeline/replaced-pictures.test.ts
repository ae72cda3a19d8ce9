/** A picture that was replaced by another one of its name, size and time is noticed by all work that can be continued. */
import { copyFile, mkdtemp, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundledModel, bundledValidation } from '../data/bundled.ts';
import { everyImage } from '../data/calibration-plan.ts';
import type { CocoDataset } from '../data/coco.ts';
import { identifyDataset } from '../evaluate/dataset-identity.ts';
import { readCheckpoint } from '../models/package/package.ts';
import { trainingKey } from '../train/training-key.ts';
import { resolveTrainingSettings } from '../train/training-settings.ts';
import { withContents } from './plan-contents.ts';

let folder: string;
let picture: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-replaced-'));
  picture = join(folder, 'a.jpg');
  await copyFile(join(bundledValidation(), '000082.jpg'), picture);
});
afterAll(() => rm(folder, { recursive: true }));

const dataset: CocoDataset = {
  images: [{ id: 1, file_name: 'a.jpg', width: 256, height: 192 }],
  annotations: [{ id: 1, image_id: 1, category_id: 1, bbox: [0, 0, 9, 9], area: 81, iscrowd: 0 }],
  categories: [{ id: 1, name: 'red circle' }],
  pathOf: ({ file_name }) => join(folder, file_name),
};

/** Changes one byte behind the header, and nothing that `ls -l` shows. */
async function replacePicture(): Promise<void> {
  const { atime, mtime } = await stat(picture);
  const bytes = await readFile(picture);
  const last = bytes.length - 3;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  await writeFile(picture, bytes);
  await utimes(picture, atime, mtime);
}

test.each([
  ['calibration', async () => (await withContents(everyImage(dataset), {})).key],
  ['evaluation', async () => (await identifyDataset(dataset)).images],
  [
    'training',
    async () => {
      const source = await readCheckpoint(bundledModel());
      const settings = resolveTrainingSettings(source, dataset, 'train');
      return (await trainingKey(source, dataset, settings, undefined))['contents of the images'];
    },
  ],
])('%s', async (_, identify) => {
  const before = await identify();
  expect(await identify()).toBe(before);
  await replacePicture();
  expect(await identify()).not.toBe(before);
});
