/** A detection in COCO's results format (https://cocodataset.org/#format-results). */
export interface CocoDetection {
  /** The id of the image in the annotations. */
  readonly image_id: number;
  /** The id of the category in the annotations. */
  readonly category_id: number;
  /** Left, top, width and height in pixels. */
  readonly bbox: readonly [number, number, number, number];
  /** The confidence; only the order of scores counts. */
  readonly score: number;
}
