/**
 * Decodes pictures by the browser to the pixels that Node.js decodes: upright, without colour profiles and without transparency.
 * What a browser would decode to other numbers is refused.
 */
import { z } from 'zod';
import { checkOptions, checkValue, either, type OptionSchemas, optional, text } from '../base/check-options.ts';
import { InputError, messageOf } from '../base/errors.ts';
import { checkPixels, DEFAULT_MAX_PIXELS, maxPixelsSchema, type PixelLimitOptions } from '../data/pixel-limit.ts';
import type { Image } from '../data/rgb-image.ts';
import type { Size } from '../data/size.ts';
import { pictureSize } from './picture-size.ts';
import { undecodableAlike } from './undecodable-alike.ts';

/** Options of `readImage`. */
export interface ReadImageOptions extends PixelLimitOptions {
  /** The name of the picture, for messages; that of a `File` by default. */
  readonly name?: string | undefined;
}

const readImageSchemas: OptionSchemas<ReadImageOptions> = { name: optional(text), maxPixels: maxPixelsSchema };

const has = (name: 'Blob' | 'ImageBitmap' | 'ImageData') =>
  z.custom((value) => {
    const type = globalThis[name];
    return type !== undefined && value instanceof type;
  });

const pictureSchema = either(
  'a Blob, a File, an ImageBitmap or ImageData',
  has('Blob'),
  has('ImageBitmap'),
  has('ImageData'),
);

/**
 * Reads a picture as it is meant to be seen: the EXIF orientation is applied, transparency is dropped, colour profiles are left aside,
 * as `readImage` of `dino8` does. Of an animation the first frame is taken.
 *
 * @param picture a file, or what `createImageBitmap` made of a canvas or of a frame of a video, which is closed
 * @throws InputError if it cannot be decoded, is too large, or is a picture that browsers decode to other numbers than `dino8` does:
 * inks (CMYK) and grayscale of 16 bits
 * @example
 * const input = document.querySelector('input');
 * const file = input?.files?.[0];
 * const image = file && (await readImage(file));
 */
export async function readImage(
  picture: Blob | ImageBitmap | ImageData,
  options: ReadImageOptions = {},
): Promise<Image> {
  checkValue('The picture', pictureSchema, picture);
  checkOptions('readImage', readImageSchemas, options);
  const { name = picture instanceof Blob ? (nameOf(picture) ?? 'The picture') : 'The picture' } = options;
  const { maxPixels = DEFAULT_MAX_PIXELS } = options;
  if ('data' in picture) {
    checkPixels(picture, name, maxPixels);
    return withoutAlpha(picture.data, picture, name);
  }
  const bitmap = picture instanceof Blob ? await decode(picture, name, maxPixels) : picture;
  try {
    checkPixels(bitmap, name, maxPixels);
    return withoutAlpha(pixelsOf(bitmap, name), bitmap, name);
  } finally {
    bitmap.close();
  }
}

const nameOf = (picture: Blob): string | undefined => ('name' in picture ? String(picture.name) : undefined);

async function decode(picture: Blob, name: string, maxPixels: number): Promise<ImageBitmap> {
  const head = new Uint8Array(await picture.slice(0, HEAD).arrayBuffer());
  const problem = undecodableAlike(head);
  const size = pictureSize(head);
  // Before the browser takes memory for the pixels.
  if (size) checkPixels(size, name, maxPixels);
  if (problem) throw new InputError(`${name} ${problem}`);
  try {
    return await createImageBitmap(picture, {
      colorSpaceConversion: 'none',
      imageOrientation: 'from-image',
      premultiplyAlpha: 'none',
    });
  } catch (error) {
    throw new InputError(
      `${name} cannot be decoded as a picture by this browser (${messageOf(error)}); choose a JPEG, PNG or WebP file.`,
    );
  }
}

/** The header of a JPEG file is behind its metadata, which may have a small picture in it. */
const HEAD = 1 << 20;

/** Red, green, blue and opacity of a bitmap. */
function pixelsOf(bitmap: ImageBitmap, name: string): Uint8ClampedArray | Uint8Array {
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context)
    throw new InputError(`${name} of ${width}x${height} pixels is too large for this browser; make it smaller.`);
  context.drawImage(bitmap, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  // A canvas keeps colours multiplied by their opacity, so that those of transparent pixels are lost.
  return isOpaque(data) ? data : pixelsByTexture(bitmap, name);
}

function isOpaque(pixels: Uint8ClampedArray): boolean {
  for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== 255) return false;
  return true;
}

/** The pixels of a bitmap by a texture, which keeps colours apart from their opacity. */
function pixelsByTexture(bitmap: ImageBitmap, name: string): Uint8Array {
  const { width, height } = bitmap;
  const gl = new OffscreenCanvas(1, 1).getContext('webgl', { premultipliedAlpha: false });
  if (!gl || width > gl.getParameter(gl.MAX_TEXTURE_SIZE) || height > gl.getParameter(gl.MAX_TEXTURE_SIZE))
    throw new InputError(
      `${name} has transparent pixels, whose colours this browser does not give; save it without transparency, for instance as JPEG.`,
    );
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, bitmap);
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, gl.TEXTURE_2D, texture, 0);
  const pixels = new Uint8Array(width * height * 4);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  return pixels;
}

/** Red, green and blue of pixels that have their opacity as a fourth byte. */
function withoutAlpha(pixels: ArrayLike<number>, { width, height }: Size, source: string): Image {
  const colours = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < colours.length; from += 4) {
    colours[to++] = pixels[from] as number; // four bytes for each pixel
    colours[to++] = pixels[from + 1] as number;
    colours[to++] = pixels[from + 2] as number;
  }
  return { width, height, pixels: colours, source };
}
