/** Sizes of pictures by their headers are those that Pillow reads (test/fixtures/pictures/make.py), and stop a page from decoding. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { packageRoot } from '../base/package-root.ts';
import { pictureSize } from './picture-size.ts';
import { readImage } from './read-image.ts';

const folder = join(packageRoot, 'test/fixtures/pictures');
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(folder, name)));
const pillow: Record<string, { width: number; height: number }> = JSON.parse(
  readFileSync(join(folder, 'expected.json'), 'utf8'),
);
/** Browsers do not decode TIFF. */
const names = Object.keys(pillow).filter((name) => !name.endsWith('.tif'));

test.each(names)('%s', (name) => {
  const { width = 0, height = 0 } = pillow[name] ?? {};
  const size = pictureSize(bytesOf(name));
  // Pillow has turned some of them.
  expect([size?.width, size?.height].toSorted()).toEqual([width, height].toSorted());
  for (let length = 0; length < 30; length++) pictureSize(bytesOf(name).subarray(0, length));
});

afterEach(() => vi.unstubAllGlobals());

test.each(['rgba.png', 'rgb.jpg', 'rgba.webp', 'palette.gif', 'rgb.bmp', 'rgb.avif'])(
  'too many pixels of %s are refused before they are decoded',
  async (name) => {
    vi.stubGlobal('createImageBitmap', () => {
      throw new Error('it was decoded');
    });
    const picture = new Blob([bytesOf(name)]);
    const { width = 0, height = 0 } = pillow[name] ?? {};
    const most = width * height;
    await expect(readImage(picture, { name, maxPixels: most })).rejects.toThrow(/it was decoded/);
    await expect(readImage(picture, { name, maxPixels: most - 1 })).rejects.toThrow(
      `${name} has ${width}x${height} pixels, more than the ${most - 1}`,
    );
  },
);
