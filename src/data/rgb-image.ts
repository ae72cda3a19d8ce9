import { UsageError } from '../base/errors.ts';

/** A decoded image. */
export interface Image {
  /** The size in pixels. */
  readonly width: number;
  /** The size in pixels. */
  readonly height: number;
  /** Red, green and blue from 0 to 255, [height, width, 3]. */
  readonly pixels: Uint8Array;
  /** The path that it was read from, for messages. */
  readonly source?: string | undefined;
  /** True if it was grayscale of 16 bits with values above 255, all of which are white now, as Pillow shows them. */
  readonly isClipped?: boolean | undefined;
}

/** The sentence about pictures with `isClipped`. `names` are some of them. */
export const clippedNotice = (names: string): string =>
  `Grayscale of 16 bits is cut off at 255, as Pillow and so Hugging Face's processors do it, and all that is brighter is white; convert these pictures to 8 bits unless that is meant: ${names}.`;

/** @throws UsageError if a value that a caller gave is no image: without pixels, or with bytes of another number */
export function checkImage(image: Image): void {
  const given: Partial<Image> | undefined = image;
  const { width, height, pixels } = given ?? {};
  const isSide = (side: unknown) => Number.isSafeInteger(side) && Number(side) > 0;
  if (!isSide(width) || !isSide(height))
    throw new UsageError(`The image must have a width and a height of at least 1 pixel, not ${width} and ${height}.`);
  if (!(pixels instanceof Uint8Array) || pixels.length !== Number(width) * Number(height) * 3)
    throw new UsageError(
      `The image of ${width} × ${height} pixels must have ${Number(width) * Number(height) * 3} bytes of red, green and blue in a Uint8Array, not ${pixels?.length ?? 'none'}.`,
    );
}
