/** Decodes JPEG, PNG and WebP images to 8-bit RGB, upright. Settings of the process-wide sharp library are left alone. */
import sharp from 'sharp';
import { InputError, messageOf } from '../base/errors.ts';
import { readBytes } from '../base/files.ts';
import type { Size } from './size.ts';

/** A decoded image. */
export interface Image {
  /** The size in pixels. */
  readonly width: number;
  /** The size in pixels. */
  readonly height: number;
  /** Red, green and blue from 0 to 255, [height, width, 3]. */
  readonly pixels: Uint8Array;
}

const MAX_FILE_BYTES = 1 << 29;
/** About 268 million pixels, 805 MB when decoded. */
const MAX_PIXELS = 0x3fff ** 2;
const FORMATS = new Set(['jpeg', 'png', 'webp']);

/** Options of `readImage` and `decodeImage`. */
export interface ReadImageOptions {
  /** Takes the picture as it is stored, without the rotation that its EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
}

/**
 * Reads an image as it is meant to be seen: the EXIF orientation is applied, transparency is dropped, grayscale and CMYK
 * are converted to RGB, and of an animation the first picture is taken.
 * @throws UsageError if the file does not exist, and InputError if it cannot be decoded
 * @example
 * const { width, height } = await readImage('photo.jpg');
 */
export async function readImage(path: string, options: ReadImageOptions = {}): Promise<Image> {
  return decodeImage(await readBytes(path, MAX_FILE_BYTES), path, options);
}

/** The two sizes of a picture. They differ if its EXIF orientation asks for a quarter turn. */
export interface PictureSizes {
  /** The size as the picture is meant to be seen. */
  readonly upright: Size;
  /** The size as it is stored. */
  readonly stored: Size;
}

/**
 * Reads the size of a picture from the beginning of its file.
 * @throws InputError if it is no picture that can be decoded
 */
export async function readPictureSizes(path: string): Promise<PictureSizes> {
  try {
    const { format, width, height, autoOrient } = await sharp(path, { limitInputPixels: false }).metadata();
    if (!FORMATS.has(format)) throw new InputError(`${path} is ${format}, not JPEG, PNG or WebP.`);
    return { upright: { width: autoOrient.width, height: autoOrient.height }, stored: { width, height } };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path} cannot be decoded as an image (${messageOf(error)}).`);
  }
}

/**
 * Decodes the bytes of an image file, as `readImage` does.
 * @param source the name of the image in error messages
 * @throws InputError if the bytes are no JPEG, PNG or WebP image, if they are damaged, or if the image is too large
 * @example
 * import { readFile } from 'node:fs/promises';
 *
 * const image = await decodeImage(await readFile('photo.jpg'), 'photo.jpg');
 */
export async function decodeImage(
  bytes: Uint8Array,
  source: string,
  { ignoreOrientation = false }: ReadImageOptions = {},
): Promise<Image> {
  try {
    const input = sharp(bytes, { limitInputPixels: false, failOn: 'error' });
    const { format, width, height } = await input.metadata();
    if (!FORMATS.has(format)) throw new InputError(`${source} is ${format}, not JPEG, PNG or WebP.`);
    if (width * height > MAX_PIXELS)
      throw new InputError(
        `${source} has ${width}x${height} pixels, more than the ${MAX_PIXELS} that can be decoded; make it smaller.`,
      );
    const { data, info } = await (ignoreOrientation ? input : input.autoOrient())
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
