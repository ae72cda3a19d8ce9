/** Labelled boxes of images, for training. */

/** A box as the left and upper edge, width and height, in pixels. */
export type Box = readonly [x: number, y: number, width: number, height: number];

/** A box with its category. */
export interface LabelledBox {
  /** The position in the image. */
  readonly box: Box;
  /** The id of the category. */
  readonly category: number;
}
