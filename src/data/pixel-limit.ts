/**
 * The number of pixels that a picture or a frame of a video may have. A file of a few kilobytes can be a picture of a billion
 * pixels, so that each is measured before it is decoded.
 */
import { optional, wholeNumber } from '../base/check-options.ts';
import { InputError } from '../base/errors.ts';
import type { Size } from './size.ts';

/** The option of everything that reads pictures. */
export interface PixelLimitOptions {
  /**
   * The number of pixels that a picture or a frame of a video may have; a larger one is refused before it is decoded. 67,108,864
   * by default, which take 201 MB when decoded, and at most 1,073,741,824.
   */
  readonly maxPixels?: number | undefined;
}

/** The default of `maxPixels`. */
export const DEFAULT_MAX_PIXELS: number = 2 ** 26;

/** The largest `maxPixels`: three bytes each of so many are what one array can hold everywhere. */
const LARGEST_MAX_PIXELS: number = 2 ** 30;

/** What `maxPixels` must be. */
export const maxPixelsSchema = optional(wholeNumber(1, LARGEST_MAX_PIXELS));

/**
 * @param source the picture, as a message names it
 * @throws InputError if a picture of this size has too many pixels
 */
export function checkPixels({ width, height }: Size, source: string, maxPixels: number): void {
  if (width * height > maxPixels)
    throw new InputError(
      `${source} has ${width}x${height} pixels, more than the ${maxPixels} that are decoded; make it smaller, or allow more with \`maxPixels\`.`,
    );
}
