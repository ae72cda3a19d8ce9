/** Files of detections: those that are written are read by others, and those of others are read or refused by name. */
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { parseAnnotations } from '../data/datasets/coco-json.ts';
import { readLooseLists } from '../data/datasets/loose-json.ts';
import { collectDetections, readDetections, writeDetections } from './detections-file.ts';

let path: string;
beforeEach(async () => {
  path = join(await mkdtemp(join(tmpdir(), 'dino8-detections-')), 'results.json');
});

const image = (id: number | string) => ({ id, file_name: `${id}.jpg`, width: 100, height: 100 });
const truth = (images: readonly (number | string)[], categories: readonly (number | string)[]) =>
  parseAnnotations(
    { images: images.map(image), categories: categories.map((id) => ({ id, name: `thing ${id}` })), annotations: [] },
    'truth.json',
  );

const detection = { image_id: 7, category_id: 3, bbox: [1.25, 0.1 + 0.2, 1 / 3, 5e-324], score: 0.1 + 0.7 };

test('ids are those of the annotation file, and numbers keep every digit', async () => {
  const named = truth(['b', 'a'], ['dog', 'cat']);
  // In the order of their texts, "a" and "cat" have the number 1.
  await writeDetections(
    path,
    [{ image_id: 2, category_id: 1, bbox: [1.25, 0.1 + 0.2, 1 / 3, 1], score: 0.1 + 0.7 }],
    named,
  );
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual([
    { image_id: 'b', category_id: 'cat', bbox: [1.25, 0.1 + 0.2, 1 / 3, 1], score: 0.1 + 0.7 },
  ]);
  expect(await readDetections(path, named)).toEqual([
    { image_id: 2, category_id: 1, bbox: [1.25, 0.1 + 0.2, 1 / 3, 1], score: 0.1 + 0.7 },
  ]);
});

test('many detections are one valid file, and none are too', async () => {
  const numbered = truth([7], [3]);
  const many = Array.from({ length: 25_000 }, (_, index) => {
    return { image_id: 7, category_id: 3, bbox: [index, 1, 2, 3] as const, score: index / 25_000 };
  });
  await writeDetections(path, many, numbered);
  expect(JSON.parse(await readFile(path, 'utf8'))).toEqual(many);
  expect(await readDetections(path, numbered)).toEqual(many);
  const parts = readLooseLists(path, { chunkBytes: 1000 });
  expect(await collectDetections(parts, path, numbered)).toEqual(many);
  await writeDetections(path, [], numbered);
  expect(await readDetections(path, numbered)).toEqual([]);
});

test('an id means the same as a number and as a text', async () => {
  await writeFile(path, JSON.stringify([{ ...detection, image_id: '7', category_id: 3.0, segmentation: [] }]));
  expect(await readDetections(path, truth([7], [3]))).toEqual([detection]);
});

test.each([
  ['[{"category_id":3,"bbox":[1,2,3,4],"score":1}]', 'the detection 1 of the list has no image_id'],
  ['[{"image_id":7,"bbox":[1,2,3,4],"score":1}]', 'has no category_id'],
  ['[{"image_id":7,"category_id":3,"score":1}]', 'has no bbox'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,3,4]}]', 'has no score'],
  [
    `[${JSON.stringify(detection)},{"image_id":8,"category_id":3,"bbox":[1,2,3,4],"score":1}]`,
    'the detection 2 of the list has the image_id 8',
  ],
  ['[{"image_id":7,"category_id":4,"bbox":[1,2,3,4],"score":1}]', 'has the category_id 4'],
  ['[{"image_id":null,"category_id":3,"bbox":[1,2,3,4],"score":1}]', 'has the image_id null'],
  ['[{"image_id":{"a":1},"category_id":3,"bbox":[1,2,3,4],"score":1}]', 'has the image_id {"a":1}'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,3,4],"score":NaN}]', 'has the score NaN'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,3,4],"score":null}]', 'has the score null'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,3,4],"score":1e999}]', 'has the score'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,Infinity,4],"score":1}]', 'four finite numbers'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,3],"score":1}]', 'four finite numbers'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,1e308,4],"score":1}]', 'four finite numbers'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,"3",4],"score":1}]', 'four finite numbers'],
  ['[{"image_id":7,"category_id":3,"bbox":[1,2,-3,4],"score":1}]', 'negative'],
  ['[3]', 'is no object'],
  ['{"annotations":[]}', 'is no list of detections'],
  ['[', 'is not valid JSON'],
])('%s is refused by name', async (text, expected) => {
  await writeFile(path, text);
  const failure = await readDetections(path, truth([7], [3])).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(InputError);
  expect(String(failure)).toContain(expected);
  expect(String(failure)).toContain(path);
});
