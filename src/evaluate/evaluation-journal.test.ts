/** An interrupted evaluation must never be continued on other images, annotations, phrases or with another model. */
import { copyFile, mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { bundledCalibration, bundledModel, bundledValidation } from '../data/bundled.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import { readDataset } from '../data/datasets/read-dataset.ts';
import { Detector } from '../detect/detector.ts';
import { type ModelPackage, readPackage } from '../models/package/package.ts';
import { openEvaluationJournal } from './evaluation-journal.ts';
import { scoreDataset } from './score-dataset.ts';

const IMAGES = 6;

let source: ModelPackage;
let dataset: CocoDataset;
let path: string;
beforeAll(async () => {
  source = await readPackage(bundledModel());
  dataset = takeImages(await readDataset(bundledValidation()), IMAGES);
});
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'dino8-evaluation-')), 'scores.json.partial');
});

/** Scores images until `done` of them are in the journal, as a run that is interrupted does. */
async function interruptAfter(done: number): Promise<void> {
  await using detector = await Detector.create(source);
  const journal = await openEvaluationJournal(path, source, dataset);
  const controller = new AbortController();
  const onProgress = (progress: { done: number }) => {
    if (progress.done === done) controller.abort();
  };
  await expect(scoreDataset(detector, dataset, { journal, onProgress, signal: controller.signal })).rejects.toThrow();
  expect(journal.entries.length).toBeLessThan(IMAGES);
}

test('an interrupted evaluation continues to the figures of a whole one', async () => {
  await interruptAfter(3);
  await using detector = await Detector.create(source);
  const journal = await openEvaluationJournal(path, source, dataset);
  expect(journal.entries.length).toBeGreaterThan(2);
  const resumed = await scoreDataset(detector, dataset, { journal });
  expect(resumed.figures).toEqual((await scoreDataset(detector, dataset)).figures);
});

test('an evaluation on one data set is not continued on another with as many images', async () => {
  await interruptAfter(3);
  const before = await readFile(path, 'utf8');
  const other = takeImages(await readDataset(bundledCalibration()), IMAGES);
  expect(other.images).toHaveLength(dataset.images.length);
  const failure = await openEvaluationJournal(path, source, other).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(InputError);
  expect(String(failure)).toContain('"images"');
  expect(await readFile(path, 'utf8')).toBe(before);
});

test('each part of the key is told apart, and named in the error', async () => {
  await openEvaluationJournal(path, source, dataset);
  const reopen = (otherDataset: CocoDataset, model = source.model) =>
    openEvaluationJournal(path, { model }, otherDataset);
  await expect(reopen(dataset)).resolves.toBeDefined();
  await expect(reopen({ ...dataset, images: dataset.images.toReversed() })).rejects.toThrow('"images"');
  await expect(reopen({ ...dataset, annotations: dataset.annotations.slice(1) })).rejects.toThrow('"annotations"');
  const [first, second, ...others] = dataset.categories;
  if (!first || !second) throw new Error('the bundled data set has 48 categories');
  const renamed = [{ ...first, name: second.name }, { ...second, name: first.name }, ...others];
  await expect(reopen({ ...dataset, categories: renamed })).rejects.toThrow('"prompt"');
  await expect(reopen({ ...dataset, categories: dataset.categories.toReversed() })).resolves.toBeDefined();
  const quantized = { ...source.model, producerName: 'another' };
  await expect(reopen(dataset, quantized)).rejects.toThrow('"model"');
});

test.each([
  ['a score that no probability has', (line: string) => line.replace(/"score":[\d.e-]+/, '"score":7')],
  ['a box of 1e308', (line: string) => line.replace(/"bbox":\[[^,]+/, '"bbox":[1e308')],
  [
    'a category that the data set does not have',
    (line: string) => line.replace(/"category_id":\d+/, '"category_id":999'),
  ],
  ['an image that the data set does not have', (line: string) => line.replace(/"(image|image_id)":\d+/g, '"$1":999')],
  ['a detection of another image', (line: string) => line.replace(/"image_id":\d+/, '"image_id":999')],
])('a journal with %s is refused by its line', async (_, change) => {
  await interruptAfter(3);
  const [head, first = '', ...others] = (await readFile(path, 'utf8')).split('\n');
  expect(change(first)).not.toBe(first);
  await writeFile(path, [head, change(first), ...others].join('\n'));
  await expect(openEvaluationJournal(path, source, dataset)).rejects.toThrow(/is damaged in line 2/);
});

test('a journal that has an image twice is refused', async () => {
  await interruptAfter(3);
  const lines = (await readFile(path, 'utf8')).trimEnd().split('\n');
  await writeFile(path, `${[...lines, lines[1]].join('\n')}\n`);
  await expect(openEvaluationJournal(path, source, dataset)).rejects.toThrow(
    new RegExp(`is damaged in line ${lines.length + 1}`),
  );
});

test('other pictures under the same names are other images', async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'dino8-pictures-')), 'val');
  await mkdir(folder);
  const copied = { ...dataset, pathOf: (image: { file_name: string }) => join(folder, image.file_name) };
  for (const image of dataset.images) await copyFile(dataset.pathOf(image), copied.pathOf(image));
  await openEvaluationJournal(path, source, dataset);
  await expect(openEvaluationJournal(path, source, copied)).resolves.toBeDefined();
  const [first, second] = dataset.images;
  if (!first || !second) throw new Error(`the data set has ${IMAGES} images`);
  await writeFile(copied.pathOf(first), await readFile(dataset.pathOf(second)));
  await expect(openEvaluationJournal(path, source, copied)).rejects.toThrow('"images"');
});
