/** A box of an image with its category, as training sees it. */

/** (x, y, width, height) in pixels. */
export type Box = readonly [x: number, y: number, width: number, height: number];

export interface LabelledBox {
  readonly box: Box;
  readonly category: number;
}
