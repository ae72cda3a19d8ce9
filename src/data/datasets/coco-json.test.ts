/** A large annotation file, which is read part by part, gives what a small one gives. The variants are those of other tools. */
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { packageRoot } from '../../base/package-root.ts';
import { readAnnotations, readLargeAnnotations } from './coco-json.ts';

const { variants }: { variants: { name: string; text: string }[] } = JSON.parse(
  readFileSync(join(packageRoot, 'test/fixtures/datasets/variants.json'), 'utf8'),
);
const root = mkdtempSync(join(tmpdir(), 'dino8-annotations-'));
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
  const message = /at annotations\.50\.image_id: expected a whole number or a text/;
  await expect(readAnnotations(path)).rejects.toThrow(message);
  await expect(readLargeAnnotations(path, { chunkBytes: 200 })).rejects.toThrow(message);
  await writeFile(path, JSON.stringify({ annotations, images: [] }));
  await expect(readLargeAnnotations(path, { chunkBytes: 200 })).rejects.toThrow(/not as expected at categories/);
});
