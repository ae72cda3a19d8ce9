/** The settings of COCO's protocol for boxes, with the floating-point values of pycocotools 2.0.11 (`Params.setDetParams`). */

/** The overlaps (IoU) from which a detection matches an object: 0.50, 0.55, … 0.95. */
export const IOU_THRESHOLDS: readonly number[] = linspace(0.5, 0.95, 10);
/** The index of 0.75 in `IOU_THRESHOLDS`; that of 0.50 is 0. */
export const AT_75 = 5;
/** The recalls at which precision is read: 0, 0.01, … 1. */
export const RECALL_THRESHOLDS: readonly number[] = linspace(0, 1, 101);
/** The numbers of best detections of an image and category that count. All but two figures use the last one. */
export const MAX_DETECTIONS = [1, 10, 100] as const;
/** A group of objects by area. */
export type Area = 'all' | 'small' | 'medium' | 'large';
/** The range of area in pixels of each group of objects. */
export const AREAS: Readonly<Record<Area, readonly [minimum: number, maximum: number]>> = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
};

/** The groups in the order in which matches are stored. */
export const AREA_NAMES = ['all', 'small', 'medium', 'large'] as const satisfies readonly Area[];

/** As numpy.linspace, to the last bit. */
function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, index) => (index === count - 1 ? stop : index * step + start));
}
