/** A large annotation file, which is read part by part, gives what a small one gives. The variants are those of other tools. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.ts';
import { packageRoot } from '../../base/package-root.ts';
import { readAnnotations, readLargeAnnotations } from './coco-json.ts';

const { variants }: { variants: { name: string; text: string }[] } = JSON.parse(
  readFileSync(join(packageRoot, 'test/fixtures/datasets/variants.json'), 'utf8'),
);
const root = mkdtempSync(join(tmpdir(), 'dino8-annotations-'));
const labels = join(root, 'labels.json');
afterAll(() => rm(root, { recursive: true, force: true }));

/** What was read or the error, with the notices on the way. */
async function outcome(read: (options: { onNotice: (sentence: string) => void }) => Promise<unknown>) {
  const notices: string[] = [];
  const result = await read({ onNotice: (sentence) => notices.push(sentence) }).catch((error: unknown) => `${error}`);
  return { notices, result };
}

test.each(variants)('$name', async ({ name, text }) => {
  const path = join(root, `${name}.json`);
  await writeFile(path, text);
  const parts = await outcome((options) => readLargeAnnotations(path, { ...options, chunkBytes: 100 }));
  expect(parts).toEqual(await outcome((options) => readAnnotations(path, options)));
});

test('a wrong field is named by its place in the whole list', async () => {
  const path = join(root, 'wrong.json');
  const annotations = Array.from({ length: 50 }, (_, id) => ({ id, image_id: 1, category_id: 1, bbox: [1, 2, 3, 4] }));
  const file = { annotations: [...annotations, { id: 50, image_id: 1.5 }], images: [], categories: [] };
  await writeFile(path, JSON.stringify(file));
  const message = /at annotations\.50\.image_id: it must be a whole number or a text/;
  await expect(readAnnotations(path)).rejects.toThrow(message);
  await expect(readLargeAnnotations(path, { chunkBytes: 200 })).rejects.toThrow(message);
  await writeFile(path, JSON.stringify({ annotations, images: [] }));
  await expect(readLargeAnnotations(path, { chunkBytes: 200 })).rejects.toThrow(/not as expected at categories/);
});

describe('numbers that no label can have are refused by the place where they are', () => {
  /** An annotation file in which one annotation, and one image, have other fields, as text, since JSON has no NaN. */
  const file = (annotation: string, image = '"width": 10, "height": 10') =>
    `{"images": [{"id": 1, "file_name": "1.jpg", ${image}}], "categories": [{"id": 1, "name": "x"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]},
                    {"id": 2, "image_id": 1, "category_id": 1, ${annotation}}]}`;

  test.each([
    [
      'a box of 1e308',
      '"bbox": [0, 0, 1e308, 1e308]',
      /labels\.json .*at annotations\.1\.bbox\.2: it must be a .*number/,
    ],
    ['an infinite box', '"bbox": [0, -Infinity, 3, 4]', /at annotations\.1\.bbox/],
    ['an infinite area', '"bbox": [0, 0, 3, 4], "area": Infinity', /at annotations\.1\.area/],
    ['a negative area', '"bbox": [0, 0, 3, 4], "area": -5', /at annotations\.1\.area/],
    [
      'an outline of 1e308',
      '"segmentation": [[0, 0, 1e308, 0, 1e308, -1e308]]',
      /labels\.json: the outline of the annotation 2/,
    ],
  ])('%s', async (_, annotation, message) => {
    await writeFile(labels, file(annotation));
    await expect(readAnnotations(labels)).rejects.toThrow(InputError);
    await expect(readAnnotations(labels)).rejects.toThrow(message);
  });

  test('a picture of 1e308 pixels; a size that is not known is no error', async () => {
    const bbox = '"bbox": [0, 0, 3, 4]';
    await writeFile(labels, file(bbox, '"width": 1e308, "height": 10'));
    await expect(readAnnotations(labels)).rejects.toThrow(/at images\.0\.width/);
    await writeFile(labels, file(bbox, '"width": NaN, "height": null'));
    expect((await readAnnotations(labels)).images).toEqual([{ id: 1, file_name: '1.jpg', width: 0, height: 0 }]);
  });

  test('a box or an area that is no number, as Python writes it, is told', async () => {
    await writeFile(labels, file('"bbox": [0, 0, NaN, 4]'));
    const notices: string[] = [];
    await readAnnotations(labels, { onNotice: (notice) => notices.push(notice) });
    expect(notices).toEqual([expect.stringMatching(/1 annotations have a box or an area that is no number/)]);
  });
});
