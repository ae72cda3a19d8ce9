/** Decoding images: JPEG, PNG and WebP to 8-bit RGB, upright. Each call owns its memory; nothing is cached. */
import sharp from 'sharp';
import { InputError, messageOf } from '../base/errors.ts';
import { readBytes } from '../base/files.ts';

export interface Image {
  readonly width: number;
  readonly height: number;
  /** [height, width, 3], red first. */
  readonly pixels: Uint8Array;
}

const LARGEST_FILE = 1 << 29;
/** About 268 million: 805 MB decoded. */
const MOST_PIXELS = 0x3fff ** 2;
const FORMATS = new Set(['jpeg', 'png', 'webp']);

sharp.cache(false);

/**
 * Reads an image as it is meant to be seen: EXIF orientation applied, transparency dropped, grayscale and CMYK
 * converted, the first picture of an animation.
 * @throws UsageError if there is no such file, InputError if it is not an image that can be read
 */
export async function readImage(path: string): Promise<Image> {
  return decodeImage(await readBytes(path, LARGEST_FILE), path);
}

export async function decodeImage(bytes: Uint8Array, source: string): Promise<Image> {
  try {
    const input = sharp(bytes, { limitInputPixels: false, failOn: 'error' });
    const { format, width, height } = await input.metadata();
    if (!FORMATS.has(format)) throw new InputError(`${source} is ${format}, not JPEG, PNG or WebP.`);
    if (width * height > MOST_PIXELS)
      throw new InputError(
        `${source} has ${width}x${height} pixels, more than the ${MOST_PIXELS} that can be decoded; make it smaller.`,
      );
    const { data, info } = await input
      .autoOrient()
      .toColourspace('srgb')
      .removeAlpha()
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true });
    if (info.channels !== 3)
      throw new InputError(`${source} has ${info.channels} colour channels after conversion to RGB.`);
    return { width: info.width, height: info.height, pixels: data };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${source} cannot be decoded as an image (${messageOf(error)}).`);
  }
}
