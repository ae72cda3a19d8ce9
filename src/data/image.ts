/**
 * Decodes pictures to 8-bit RGB, upright, with the numbers of Pillow's `convert('RGB')`, which is what Hugging Face's
 * processors work on.
 */
import type { Metadata, Sharp } from 'sharp';
import { z } from 'zod';
import { checkOptions, checkValue, type OptionSchemas, optional, truth } from '../base/check-options.ts';
import { Dino8Error, InputError, MemoryError, messageOf, withMemoryAdvice } from '../base/errors.ts';
import { readBytes } from '../base/files.ts';
import { decodeBitmap, readBitmapHeader } from './bitmap.ts';
import { fileKind, PICTURE_FORMATS, type PictureFormat, readHead } from './file-kind.ts';
import { withoutGifTransparency } from './gif.ts';
import { wrongJpegMarker } from './jpeg-markers.ts';
import { checkPixels, maxPixelsSchema, type PixelLimitOptions } from './pixel-limit.ts';
import type { Image } from './rgb-image.ts';
import { sharp } from './sharp.ts';
import type { Size } from './size.ts';
import { pixelLimit } from './step-pixel-limit.ts';
import { readTiffTags } from './tiff-tags.ts';

export type { Image };

/** The maximum size of the file of a picture. */
export const MAX_PICTURE_BYTES = 1 << 29;

/** Options of `readImage` and `decodeImage`. */
export interface ReadImageOptions extends PixelLimitOptions {
  /** Takes the picture as it is stored, without the rotation that its EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
}

const readImageSchemas: OptionSchemas<ReadImageOptions> = {
  ignoreOrientation: optional(truth),
  maxPixels: maxPixelsSchema,
};

const bytesSchema = z.instanceof(Uint8Array, { error: 'the bytes of a file in a Uint8Array' });

/**
 * Reads an image as it is meant to be seen: the EXIF orientation is applied, transparency is dropped, grayscale, palettes and
 * CMYK are converted to RGB, of colours of 16 bits the upper 8 are kept, and of an animation or several pages the first is taken.
 * In grayscale of 16 bits all above 255 is white (`isClipped`). Colour profiles are left aside. All of this is as in Pillow, and so
 * in Hugging Face's processors. The format is found from the content, whatever the name says.
 * @throws UsageError if the file does not exist, and InputError if it cannot be decoded
 * @example
 * const { width, height } = await readImage('photo.jpg');
 */
export async function readImage(path: string, options: ReadImageOptions = {}): Promise<Image> {
  return { ...(await decodeImage(await readBytes(path, MAX_PICTURE_BYTES), path, options)), source: path };
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
  const head = await readHead(path);
  const kind = decodableKind(head, path);
  if (kind === 'bmp') {
    const { width, height } = readBitmapHeader(head, path);
    return { upright: { width, height }, stored: { width, height } };
  }
  try {
    const { width, height, autoOrient } = await (await sharp(path, { limitInputPixels: false })).metadata();
    return { upright: { width: autoOrient.width, height: autoOrient.height }, stored: { width, height } };
  } catch (error) {
    throw undecodable(error, kind, path);
  }
}

/** The error for a picture that the image library does not decode; an error of dino8 is one already. */
function undecodable(error: unknown, kind: PictureFormat | 'heic', source: string): Dino8Error {
  if (error instanceof Dino8Error) return error;
  // libtiff says that it got no memory for a table of a damaged file that has no elements, or more than there can be.
  const advised = messageOf(error).includes('TIFF directory') ? error : withMemoryAdvice(error, []);
  if (advised instanceof MemoryError) return advised;
  return new InputError(
    kind === 'heic'
      ? `${source} is a HEIC picture, which the image library here does not decode (${reasonOf(error)}); convert it to JPEG, for instance with heif-convert.`
      : `${source} cannot be decoded as an image (${reasonOf(error)}).`,
  );
}

/**
 * Decodes the bytes of an image file, as `readImage` does.
 * @param source the name of the image in error messages
 * @throws InputError if the bytes are no JPEG, PNG, WebP, GIF, TIFF, BMP or AVIF image, if they are damaged, or if the image is
 * too large
 * @example
 * import { readFile } from 'node:fs/promises';
 *
 * const image = await decodeImage(await readFile('photo.jpg'), 'photo.jpg');
 */
export async function decodeImage(bytes: Uint8Array, source: string, options: ReadImageOptions = {}): Promise<Image> {
  checkValue('The picture', bytesSchema, bytes);
  checkValue('The name of the picture', z.string({ error: 'a text' }), source);
  checkOptions('decodeImage', readImageSchemas, options);
  const { ignoreOrientation = false, maxPixels = pixelLimit() } = options;
  const kind = decodableKind(bytes, source);
  if (kind === 'bmp') {
    const header = readBitmapHeader(bytes, source);
    checkPixels(header, source, maxPixels);
    return decodeBitmap(bytes, header, source);
  }
  if (kind === 'tiff') checkMeaning(bytes, source);
  const marker = kind === 'jpeg' ? wrongJpegMarker(bytes) : undefined;
  if (marker !== undefined)
    throw new InputError(
      `${source} cannot be decoded as an image: it is damaged, with the marker 0x${marker.toString(16)} within its data.`,
    );
  try {
    const input = await sharp(kind === 'gif' ? withoutGifTransparency(bytes) : bytes, {
      limitInputPixels: false,
      failOn: 'error',
      ignoreIcc: true,
    });
    const metadata = await input.metadata();
    checkDepth(metadata, source);
    checkPixels(metadata, source, maxPixels);
    const turned = ignoreOrientation ? input : input.autoOrient();
    const gray = deepGray(bytes, kind);
    if (gray) return await decodeDeepGray(turned, gray);
    return await (metadata.space === 'cmyk' ? decodeInks(turned, source) : decodeColours(turned, source));
  } catch (error) {
    throw undecodable(error, kind, source);
  }
}

/** The format of a picture by its first bytes. HEIC is tried: some builds of the image library have it. @throws InputError if it is none */
function decodableKind(head: Uint8Array, source: string): PictureFormat | 'heic' {
  const kind = fileKind(head);
  if (kind === undefined)
    throw new InputError(`${source} cannot be decoded as an image: it is no ${PICTURE_FORMATS} file.`);
  if (kind === 'video') throw new InputError(`${source} is a video where a picture is needed.`);
  return kind;
}

/** The last complaint of libvips, which ended the decoding. It may have had others by the thousand, of tags that it does not know. */
function reasonOf(error: unknown): string {
  const lines = (error instanceof Error ? error.message : String(error)).trim().split('\n');
  const last = (lines.at(-1) ?? '').trim();
  return last.replace(/[.\s]+$/, '');
}

function checkDepth({ depth, space }: Metadata, source: string): void {
  if (depth !== 'uchar' && (depth !== 'ushort' || space === 'cmyk'))
    throw new InputError(
      `${source} has ${space === 'cmyk' ? 'inks' : 'pixels'} of the type ${depth}, which are no colours; convert it to RGB of 8 bits.`,
    );
}

/** The meanings of samples in TIFF that are decoded: gray, RGB, palettes and inks. */
const DECODED_MEANINGS = new Set([undefined, 0, 1, 2, 3, 5]);
const YCBCR = 6;
/** The compressions of TIFF that are JPEG, whose decoder makes RGB of YCbCr. */
const JPEG_IN_TIFF = new Set([6, 7]);

/** @throws InputError if the samples of a TIFF file mean something that the image library would take for RGB */
function checkMeaning(bytes: Uint8Array, source: string): void {
  const { photometric, compression } = readTiffTags(bytes);
  if (DECODED_MEANINGS.has(photometric) || (photometric === YCBCR && JPEG_IN_TIFF.has(compression))) return;
  const name = photometric === YCBCR ? 'YCbCr without JPEG' : `colours of the kind ${photometric} of TIFF`;
  throw new InputError(`${source} stores ${name}, which dino8 does not decode; convert it to RGB of 8 bits.`);
}

/** A grayscale picture of 16 bits and one sample for each pixel. */
interface DeepGray {
  /** True if the file has white as 0. */
  readonly isInverted: boolean;
}

/** What is to be known to decode a grayscale picture of 16 bits; undefined if the picture is another. */
function deepGray(bytes: Uint8Array, kind: PictureFormat | 'heic'): DeepGray | undefined {
  // The header of a PNG file has the bits of a sample at 24, and at 25 the type of colours, of which 0 is gray.
  if (kind === 'png' && bytes[24] === 16 && bytes[25] === 0) return { isInverted: false };
  if (kind !== 'tiff') return undefined;
  const { bits, samples, photometric = 1 } = readTiffTags(bytes);
  return bits === 16 && samples === 1 && photometric <= 1 ? { isInverted: photometric === 0 } : undefined;
}

/** Pillow cuts grayscale of 16 bits off at 255, and takes the numbers of the file as they are where white is 0. */
async function decodeDeepGray(input: Sharp, { isInverted }: DeepGray): Promise<Image> {
  const { data, info } = await input
    .toColourspace('grey16')
    .removeAlpha()
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const { width, height } = info;
  const aligned = data.byteOffset % 2 === 0 ? data : Uint8Array.from(data);
  const values = new Uint16Array(aligned.buffer, aligned.byteOffset, width * height);
  const pixels = new Uint8Array(values.length * 3);
  let isClipped = false;
  for (let from = 0, to = 0; from < values.length; from++) {
    const decoded = values[from] ?? 0;
    const value = isInverted ? 0xffff - decoded : decoded;
    if (value > 255) isClipped = true;
    for (let channel = 0; channel < 3; channel++) pixels[to++] = Math.min(255, value);
  }
  return { width, height, pixels, ...(isClipped && { isClipped }) };
}

async function decodeColours(input: Sharp, source: string): Promise<Image> {
  const { data, info } = await input
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  if (info.channels !== 3)
    throw new InputError(`${source} has ${info.channels} colour channels after conversion to RGB.`);
  return { width: info.width, height: info.height, pixels: data };
}

/** Pillow takes cyan, magenta, yellow and black for ideal inks, where sharp simulates a printer. */
async function decodeInks(input: Sharp, source: string): Promise<Image> {
  const { data, info } = await input
    .pipelineColourspace('cmyk')
    .toColourspace('cmyk')
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true });
  const { width, height, channels } = info;
  if (channels < 4) throw new InputError(`${source} has ${channels} inks instead of four.`);
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < pixels.length; from += channels) {
    const light = 255 - (data[from + 3] ?? 0);
    for (let ink = 0; ink < 3; ink++) pixels[to++] = Math.max(0, light - dividedBy255((data[from + ink] ?? 0) * light));
  }
  return { width, height, pixels };
}

/** The product of two bytes, as a byte: Pillow's `MULDIV255`, which rounds. */
function dividedBy255(product: number): number {
  const sum = product + 128;
  return ((sum >> 8) + sum) >> 8;
}
