/** Damaged JPEG files are read or refused as Pillow does (bench/peers/make_damage_golden.py). */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { decodeImage } from './image.ts';

interface Damaged {
  jpeg: string;
  changes: { bytes: [place: number, value: number][]; isRead: boolean }[];
}
const files: Damaged[] = JSON.parse(readFileSync(join(packageRoot, 'test/fixtures/damaged-jpeg.json'), 'utf8'));

test.each([
  ['baseline', files[0]],
  ['progressive', files[1]],
])('a damaged %s file', async (_, file) => {
  expect(file?.changes.length).toBeGreaterThan(0);
  for (const { bytes, isRead } of file?.changes ?? []) {
    const damaged = Buffer.from(file?.jpeg ?? '', 'base64');
    for (const [place, value] of bytes) damaged[place] = value;
    const wasRead = await decodeImage(damaged, 'it').then(
      () => true,
      () => false,
    );
    expect(wasRead, JSON.stringify(bytes)).toBe(isRead);
  }
});
