/** The names of categories as those of LVIS are written. */
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readDataset } from './read-dataset.ts';

test('names are cleaned only if that is asked for', async () => {
  const path = join(await mkdtemp(join(tmpdir(), 'dino8-names-')), 'lvis.json');
  const image = { id: 1, file_name: 'a.png', width: 9, height: 9 };
  const annotation = { id: 1, image_id: 1, category_id: 1, bbox: [1, 1, 3, 3], area: 9, iscrowd: 0 };
  const categories = [
    { id: 1, name: 'crow_(bird)' },
    { id: 2, name: 'traffic_light' },
  ];
  await writeFile(path, JSON.stringify({ images: [image], annotations: [annotation], categories }));
  const names = async (cleanNames: boolean) =>
    (await readDataset(path, { cleanNames })).categories.map(({ name }) => name);
  expect(await names(false)).toEqual(['crow_(bird)', 'traffic_light']);
  expect(await names(true)).toEqual(['crow', 'traffic light']);
});
