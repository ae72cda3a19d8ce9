/** Parts of an evaluation, scored together, are the evaluation of all images to the bit. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { UsageError } from '../base/errors.ts';
import { bundledValidation } from '../data/bundled.ts';
import { type CocoAnnotation, type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { readDetections } from '../evaluate/detections-file.ts';
import { writeSmallCheckpoint } from '../models/grounding-dino/testing/small-checkpoint.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { explainErrors } from './errors-step.ts';
import { evaluate } from './evaluate-step.ts';
import { score } from './score-step.ts';

const IMAGES = 5;

let folder: string;
let model: ModelPackage;
let dataset: CocoDataset;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-evaluate-'));
  model = await readPackage(await writeSmallCheckpoint(join(folder, 'checkpoint')));
  const first = takeImages(await readDataset(bundledValidation()), IMAGES);
  const images = { ...first, categories: first.categories.slice(0, 2), annotations: [] };
  // A model of random layers finds no labelled object, so some of its own boxes are the labels.
  const saveDetections = join(folder, 'boxes.json');
  await evaluate({ model, dataset: images, saveDetections, threads: 1 });
  const boxes = (await readDetections(saveDetections, images)).filter((_, index) => index % 5 === 0);
  const annotations = boxes.map(({ image_id, category_id, bbox }, index): CocoAnnotation => {
    return { id: index + 1, image_id, category_id, bbox, area: bbox[2] * bbox[3], iscrowd: 0 };
  });
  dataset = { ...images, annotations };
});
afterAll(() => rm(folder, { recursive: true }));

test('two parts of the images make the result of all, to the bit', async () => {
  const whole = await evaluate({ model, dataset, threads: 1 });
  expect(whole.figures.AR100).toBeGreaterThan(0);
  const parts = await Promise.all(
    [1, 2].map(async (index) => {
      const path = join(folder, `part${index}.json`);
      const shard = { index, count: 2 };
      const part = await evaluate({ model, dataset, shard, saveDetections: path, threads: 1 });
      expect(part.images).toBe(index === 1 ? 3 : 2);
      return path;
    }),
  );
  // The order of the parts does not count. What was scored is called by the files of the parts, and not by the model.
  const merged = await score({ detections: parts.toReversed(), annotations: dataset });
  expect(merged).toEqual({
    ...whole,
    origin: { ...whole.origin, subject: 'part1', network: undefined, weights: undefined, modelHash: undefined },
  });
  const [first = ''] = parts;
  const notices: string[] = [];
  const onNotice = (sentence: string) => notices.push(sentence);
  await score({ detections: parts, annotations: dataset, onNotice });
  expect(notices).toEqual([]);
  const empty = join(folder, 'empty.json');
  await writeFile(empty, '[]');
  await score({ detections: [first, empty], annotations: dataset, onNotice });
  expect(notices.join()).toMatch(/^The detections are of 3 of 5 images; in the others nothing counts as found\.$/);
  notices.length = 0;
  await explainErrors({ detections: parts, against: empty, annotations: dataset, onNotice });
  expect(notices.join()).toMatch(
    /^The detections to compare with are of 0 of 5 images; in the others nothing counts as found\.$/,
  );
  await expect(score({ detections: [first, first], annotations: dataset })).rejects.toThrow(/is named twice/);
});

test('a part without a file for its detections, and parts of too few images, are refused', async () => {
  const shard = { index: 1, count: 2 };
  await expect(evaluate({ model, dataset, shard })).rejects.toThrow(UsageError);
  const saveDetections = join(folder, 'none.json');
  const one = evaluate({ model, dataset, images: 1, shard, saveDetections });
  await expect(one).rejects.toThrow(/2 parts of 1 images/);
});
