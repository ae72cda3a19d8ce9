/** Labelled boxes of images, for training. */

/** A box as the left and upper edge, width and height, in pixels. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/**
 * The largest coordinate of a box, in pixels. It is far beyond any picture, and small enough that areas and their sums are exact
 * enough to compare.
 */
export const LARGEST_COORDINATE = 1e9;

/** True if all numbers of a box are finite and within what a picture can have. */
export const isPossibleBox = (box: readonly number[]): boolean =>
  box.every((value) => Math.abs(value) <= LARGEST_COORDINATE);

/** A box with its category. */
export interface LabelledBox {
  /** The position in the image. */
  readonly box: Box;
  /** The id of the category. */
  readonly category: number;
}
