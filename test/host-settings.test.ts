/** A program that uses dino8 as a library may use sharp for work of its own, with settings of its own. */
import { join } from 'node:path';
import sharp from 'sharp';
import { expect, test } from 'vitest';

test('importing dino8 and reading images does not change the settings of sharp', async () => {
  sharp.cache({ memory: 123, files: 7, items: 9 });
  sharp.concurrency(3);
  const settings = () => {
    const { memory, files, items } = sharp.cache();
    return [memory.max, files.max, items.max, sharp.concurrency(), sharp.simd()];
  };
  const before = settings();
  const { readImage } = await import('../src/index.ts');
  await readImage(join(import.meta.dirname, '../docs/images/report.jpg'));
  expect(settings()).toEqual(before);
});
