/** The limit of pixels holds for every picture and frame that is read. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { InputError, UsageError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { detect } from '../pipeline/detect-step.ts';
import { encodeBitmap } from './bitmap.ts';
import { checkPictures } from './datasets/check-pictures.ts';
import { decodeImage, readImage } from './image.ts';
import { DEFAULT_MAX_PIXELS } from './pixel-limit.ts';
import { probeVideo, readVideo } from './read-video.ts';
import { withPixelLimit } from './step-pixel-limit.ts';

let folder: string;
const at = (name: string) => join(folder, name);
const picture = () => sharp({ create: { width: 30, height: 20, channels: 3, background: 'red' } });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'dino8-pixels-'));
  await picture().png().toFile(at('x.png'));
});

test.each(['png', 'jpeg', 'webp', 'tiff', 'gif', 'avif'] as const)('of a picture in %s', async (format) => {
  const bytes = await picture().toFormat(format).toBuffer();
  expect((await decodeImage(bytes, 'x', { maxPixels: 600 })).width).toBe(30);
  await expect(decodeImage(bytes, 'x', { maxPixels: 599 })).rejects.toThrow(/30x20 pixels, more than the 599/);
});

test('of a bitmap', async () => {
  const bytes = encodeBitmap({ width: 30, height: 20, pixels: new Uint8Array(1800) });
  await expect(decodeImage(bytes, 'x', { maxPixels: 599 })).rejects.toThrow(/30x20 pixels, more than the 599/);
});

test('a picture of more than the default is refused before it is decoded', async () => {
  const side = Math.ceil(Math.sqrt(DEFAULT_MAX_PIXELS)) + 1;
  const bytes = await sharp({ create: { width: side, height: side, channels: 3, background: 'red' } })
    .png({ compressionLevel: 9, palette: true, colours: 2 })
    .toBuffer();
  await expect(decodeImage(bytes, 'x')).rejects.toThrow(/`maxPixels`/);
});

test('holds within a piece of work, for pictures of a data set and of a step', async () => {
  await expect(withPixelLimit(599, () => readImage(at('x.png')))).rejects.toThrow(InputError);
  expect((await withPixelLimit(599, () => readImage(at('x.png'), { maxPixels: 600 }))).width).toBe(30);
  const dataset = {
    images: [{ id: 1, file_name: 'x.png', width: 30, height: 20 }],
    annotations: [],
    categories: [{ id: 1, name: 'x' }],
    pathOf: () => at('x.png'),
  };
  await expect(checkPictures(dataset, { maxPixels: 599 })).rejects.toThrow(/more than the 599/);
  const model = join(packageRoot, 'assets/nano');
  await expect(detect({ model, images: [at('x.png')], phrases: 'x', maxPixels: 599 })).rejects.toThrow(/30x20/);
});

test.each([0, -1, 1.5, Number.NaN, 2 ** 31])('%d is refused', async (maxPixels) => {
  await expect(readImage(at('x.png'), { maxPixels })).rejects.toThrow(UsageError);
});

describe.skipIf(spawnSync('ffmpeg', ['-version']).status !== 0)('of a video (these tests need ffmpeg)', () => {
  test('is known before a frame is decoded', async () => {
    await writeFile(at('raw'), new Uint8Array(30 * 20 * 3));
    const raw = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', '30x20', '-r', '5', '-i', at('raw')];
    spawnSync('ffmpeg', ['-v', 'error', '-y', ...raw, '-c:v', 'ffv1', at('x.mkv')]);
    await expect(withPixelLimit(599, () => probeVideo(at('x.mkv')))).rejects.toThrow(/30x20 pixels/);
    const all = async (maxPixels: number) => {
      for await (const { image } of readVideo(at('x.mkv'), { maxPixels })) return image.width;
    };
    expect(await all(600)).toBe(30);
    await expect(all(599)).rejects.toThrow(InputError);
  });
});
