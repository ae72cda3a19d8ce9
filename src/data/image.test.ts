/** Pictures of every format are compared with what Pillow reads from them; test/fixtures/pictures/make.py made both. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.ts';
import { packageRoot } from '../base/package-root.ts';
import { encodeBitmap } from './bitmap.ts';
import { fileKind } from './file-kind.ts';
import { decodeImage } from './image.ts';

const folder = join(packageRoot, 'test/fixtures/pictures');
const bytesOf = (name: string) => readFileSync(join(folder, name));
const expected: Record<string, { width: number; height: number; rgb: string }> = JSON.parse(
  bytesOf('expected.json').toString(),
);

/** libheif rounds the conversion from YCbCr differently from libavif, of which Pillow is built. */
const TOLERANCE: Readonly<Record<string, number>> = { avif: 1 };

describe('the pixels are those of Pillow', () => {
  test('the fixtures are all there', () => {
    expect(readdirSync(folder).filter((name) => name !== 'refused' && !/\.(py|json)$/.test(name))).toEqual(
      Object.keys(expected),
    );
  });

  test.each(Object.keys(expected))('%s', async (name) => {
    const truth = expected[name];
    const { width, height, pixels } = await decodeImage(bytesOf(name), name);
    expect([width, height]).toEqual([truth?.width, truth?.height]);
    const rgb = Buffer.from(truth?.rgb ?? '', 'base64');
    expect(pixels.length).toBe(rgb.length);
    const largest = Math.max(...rgb.map((value, at) => Math.abs(value - (pixels[at] ?? 0))));
    expect(largest).toBeLessThanOrEqual(TOLERANCE[name.split('.').at(-1) ?? ''] ?? 0);
  });

  test('a gray picture of 16 bits says whether Pillow makes its bright places white', async () => {
    for (const [name, isClipped] of [
      ['gray16.png', true],
      ['gray16.tif', true],
      ['dark16.tif', undefined],
      ['rgb16.png', undefined],
    ] as const)
      expect((await decodeImage(bytesOf(name), name)).isClipped, name).toBe(isClipped);
  });

  test('a bitmap that is written is read again', async () => {
    const image = await decodeImage(bytesOf('rgb.jpg'), 'it');
    const again = await decodeImage(encodeBitmap(image), 'it');
    expect(Buffer.compare(again.pixels, image.pixels)).toBe(0);
    expect(again.width).toBe(image.width);
  });
});

describe('files that are no good', () => {
  const rejected = async (bytes: Uint8Array) => {
    const failure = await decodeImage(bytes, 'x.png').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(InputError);
    return String(failure);
  };
  const bitmapOf = (change: (view: DataView) => void) => {
    const bytes = new Uint8Array(bytesOf('rgb.bmp'));
    change(new DataView(bytes.buffer));
    return bytes;
  };

  test('the size of a bitmap is judged before memory is taken for it', async () => {
    const huge = bitmapOf((view) => {
      view.setInt32(18, 0x7fffffff, true);
      view.setInt32(22, -0x80000000, true);
    });
    expect(await rejected(huge)).toMatch(/2147483647x2147483648 pixels, more than/);
    const missing = bitmapOf((view) => view.setInt32(22, 10_000, true));
    expect(await rejected(missing)).toMatch(/ends before its last row/);
    expect(await rejected(bitmapOf((view) => view.setUint32(30, 4, true)))).toMatch(/compression 4/);
  });

  test('colours of TIFF that the image library would take for RGB are named', async () => {
    for (const name of ['ycbcr.tif', 'ycbcr-lzw.tif'])
      expect(await rejected(bytesOf(`refused/${name}`))).toMatch(/YCbCr/);
    expect(await rejected(bytesOf('refused/lab.tif'))).toMatch(/colours of the kind 8 of TIFF/);
  });

  test('HEIC and videos are named', async () => {
    const container = (brand: string) => Buffer.from(`\0\0\0\x18ftyp${brand}\0\0\0\0${brand}isom`, 'latin1');
    expect(await rejected(container('heic'))).toMatch(/HEIC/);
    expect(await rejected(container('isom'))).toMatch(/is a video/);
    expect(fileKind(Buffer.from('\x1a\x45\xdf\xa3', 'latin1'))).toBe('video');
  });

  test('damaged bitmaps, GIFs and TIFFs are decoded or refused, and nothing else', async () => {
    const names = Object.keys(expected).filter((name) => /\.(bmp|gif|tif)$/.test(name));
    const change = fc.record({ at: fc.nat(120), value: fc.nat(255), cut: fc.nat(2000) });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), fc.array(change, { maxLength: 4 }), async (name, changes) => {
        let bytes = new Uint8Array(bytesOf(name));
        for (const { at, value, cut } of changes) {
          if (at < bytes.length) bytes[at] = value;
          if (cut < 100) bytes = bytes.subarray(0, bytes.length - cut);
        }
        const result = await decodeImage(bytes, name).catch((error: unknown) => error);
        return result instanceof InputError || (result as { pixels: Uint8Array }).pixels.length > 0;
      }),
      { numRuns: 100 },
    );
  });
});

test('a TIFF file whose next page has no tags, which the library takes for a lack of memory, is refused as damaged', async () => {
  const bytes = readFileSync(join(packageRoot, 'test/fixtures/pictures/rgb.tif'));
  const first = bytes.readUInt32LE(4);
  const end = Buffer.alloc(16);
  bytes.writeUInt32LE(bytes.length, first + 2 + 12 * bytes.readUInt16LE(first));
  await expect(decodeImage(Buffer.concat([bytes, end]), 'a.tif')).rejects.toThrow(
    /^a\.tif cannot be decoded as an image \(tiff2vips: [^\n]*\)\.$/,
  );
});
