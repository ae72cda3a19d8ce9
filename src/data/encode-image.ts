/** Encodes pictures in the format that is asked for, and lays drawings over them. */
import { InputError, messageOf } from '../base/errors.ts';
import { encodeBitmap } from './bitmap.ts';
import type { PictureFormat } from './file-kind.ts';
import type { Image } from './image.ts';
import { sharp } from './sharp.ts';

/** Settings with which drawn text stays readable. TIFF has no loss. */
const SETTINGS: Partial<Record<PictureFormat, object>> = {
  jpeg: { quality: 92 },
  webp: { quality: 92 },
  avif: { quality: 75 },
  tiff: { compression: 'lzw' },
};

const rawPixels = ({ width, height, pixels }: Image) =>
  sharp(pixels, { raw: { width, height, channels: 3 }, limitInputPixels: false });

/**
 * Encodes an image.
 * @throws InputError if the format cannot hold the image, for instance because of its size
 */
export async function encodeImage(image: Image, format: PictureFormat): Promise<Uint8Array> {
  if (format === 'bmp') return encodeBitmap(image);
  try {
    return await (await rawPixels(image)).toFormat(format, SETTINGS[format]).toBuffer();
  } catch (error) {
    throw new InputError(`The image could not be encoded as ${format.toUpperCase()} (${messageOf(error)}).`);
  }
}

/**
 * Lays a drawing over a copy of an image.
 * @param drawing an SVG of the image's size
 */
export async function layOver(image: Image, drawing: string): Promise<Image> {
  const { width, height } = image;
  try {
    const drawn = (await rawPixels(image)).composite([{ input: Buffer.from(drawing), top: 0, left: 0 }]);
    return { width, height, pixels: await drawn.removeAlpha().raw().toBuffer() };
  } catch (error) {
    throw new InputError(`The boxes could not be drawn (${messageOf(error)}).`);
  }
}
