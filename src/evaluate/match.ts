/**
 * COCO's greedy matching of the detections and the objects of one image and category, for all overlaps and ranges of area at
 * once. Each overlap is computed once.
 */
import type { CocoAnnotation } from '../data/coco.ts';
import type { Box } from '../data/labelled-box.ts';
import type { CocoDetection } from './coco-detection.ts';
import { AREA_NAMES, AREAS, IOU_THRESHOLDS } from './coco-settings.ts';

/** The number of overlaps, each of which has a bit in `Outcome`. */
const THRESHOLDS = IOU_THRESHOLDS.length;
const EVERY_THRESHOLD = (1 << THRESHOLDS) - 1;

/**
 * What became of a detection in one range of area: bit t says that it matches an object at `IOU_THRESHOLDS[t]`, and bit 10 + t
 * that it does not count there.
 */
export type Outcome = number;
/** The outcomes of several detections. */
export type Outcomes = Uint32Array;

/** The bits of an outcome that say at which thresholds the detection matches an object that counts. */
export const hitsOf = (outcome: Outcome): number => outcome & EVERY_THRESHOLD & ~(outcome >> THRESHOLDS);
/** The bits of an outcome that say at which thresholds the detection does not count. */
export const ignoredOf = (outcome: Outcome): number => outcome >> THRESHOLDS;
/** The outcome of a detection that counts at no threshold. */
export const isIgnored = (outcome: Outcome): boolean => ignoredOf(outcome) === EVERY_THRESHOLD;

const RANGES = AREA_NAMES.map((area) => AREAS[area]);
const NO_POSITIVES: readonly number[] = AREA_NAMES.map(() => 0);

/** The detections of one image and category that count, at most `most` of them, the best first. */
export function bestDetections(found: readonly CocoDetection[], most: number): readonly CocoDetection[] {
  if (found.length <= 1) return found;
  // The sort is stable, as that of pycocotools is.
  const sorted = found.toSorted((a, b) => b.score - a.score);
  return sorted.length > most ? sorted.slice(0, most) : sorted;
}

/**
 * Matches the detections of one image and category to its objects.
 * @param best the detections that `bestDetections` returns
 * @param outcomes where the outcomes are written, for each range of area in the order of `AREA_NAMES`
 * @param start the place of the best detection's outcomes; those of the others follow
 * @param isPartial whether not every object of the category is labelled in the image, so that a detection of no object does not
 * count
 * @returns the number of objects to be found in each range of area
 */
export function matchImage(
  truth: readonly CocoAnnotation[],
  best: readonly CocoDetection[],
  outcomes: readonly Outcomes[],
  start: number,
  isPartial: boolean,
): readonly number[] {
  for (let index = 0; index < RANGES.length; index++) {
    const [minimum = 0, maximum = 0] = RANGES[index] ?? [];
    const written = outcomes[index];
    for (let rank = 0; written && rank < best.length; rank++) {
      const [, , width = 0, height = 0] = best[rank]?.bbox ?? [];
      const area = width * height;
      written[start + rank] = isPartial || area < minimum || area > maximum ? EVERY_THRESHOLD << THRESHOLDS : 0;
    }
  }
  // Most categories have no object in an image.
  if (truth.length === 0) return NO_POSITIVES;
  const overlaps = new OverlapTable(truth, best);
  return RANGES.map(([minimum, maximum], index) => {
    const isIgnored = ({ iscrowd, area }: CocoAnnotation) => iscrowd === 1 || area < minimum || area > maximum;
    // Objects that count come first, each in the order of the labels, as a stable sort gives them.
    const counted: number[] = [];
    const ignored: number[] = [];
    for (const [column, object] of truth.entries()) (isIgnored(object) ? ignored : counted).push(column);
    const written = outcomes[index];
    const columns = [...counted, ...ignored];
    if (written && overlaps.candidates.length > 0)
      matchArea(written, start, truth, { columns, counted: counted.length }, overlaps);
    return counted.length;
  });
}

/** The overlap of each detection of an image and category with each object. */
class OverlapTable {
  readonly columns: number;
  /** By rows of detections. */
  readonly values: Float64Array;
  /** The indices of the detections that overlap an object enough, in order. */
  readonly candidates: readonly number[];
  /** The highest overlap of each detection; infinite if one is not a number, which no threshold is above. */
  readonly highest: Float64Array;

  constructor(truth: readonly CocoAnnotation[], best: readonly CocoDetection[]) {
    this.columns = truth.length;
    this.values = new Float64Array(best.length * truth.length);
    this.highest = new Float64Array(best.length);
    const candidates: number[] = [];
    for (const [row, { bbox }] of best.entries()) {
      let highest = 0;
      let isNumber = true;
      for (const [column, object] of truth.entries()) {
        const value = overlap(bbox, object.bbox, object.iscrowd === 1);
        this.values[row * truth.length + column] = value;
        if (value > highest) highest = value;
        isNumber &&= !Number.isNaN(value);
      }
      this.highest[row] = isNumber ? highest : Number.POSITIVE_INFINITY;
      if (highest >= (IOU_THRESHOLDS[0] ?? 0)) candidates.push(row);
    }
    this.candidates = candidates;
  }
}

/** The columns of the objects of an image and category: those that count, and then the others. */
interface ObjectOrder {
  readonly columns: readonly number[];
  /** The number of those that count. */
  readonly counted: number;
}

/**
 * Matches detections in one range of area.
 * @param outcomes the outcome of each detection if it matches no object, from `start` on, which the matches change
 */
function matchArea(
  outcomes: Outcomes,
  start: number,
  truth: readonly CocoAnnotation[],
  order: ObjectOrder,
  table: OverlapTable,
): void {
  // By object, the bits of the thresholds at which it is taken.
  const taken = new Uint32Array(order.columns.length);
  for (let bit = 0; bit < THRESHOLDS; bit++) {
    const threshold = Math.min(IOU_THRESHOLDS[bit] ?? 1, 1 - 1e-10);
    for (const row of table.candidates) {
      if ((table.highest[row] ?? 0) < threshold) continue;
      const chosen = chooseObject(row, truth, order, table, { taken, bit, threshold });
      if (chosen < 0) continue;
      taken[chosen] = (taken[chosen] ?? 0) | (1 << bit);
      const [hit, ignored] = [1 << bit, 1 << (THRESHOLDS + bit)];
      // pycocotools uses the id 0 for "not matched", so that an annotation with this id always counts as missed.
      const isHit = truth[order.columns[chosen] ?? 0]?.id !== 0;
      const before = outcomes[start + row] ?? 0;
      const counted = isHit ? (before & ~ignored) | hit : before;
      outcomes[start + row] = chosen >= order.counted ? counted | ignored : counted;
    }
  }
}

/**
 * The place of the free object with the highest overlap of at least the threshold; −1 if there is none. Crowds are always free,
 * and objects that count take precedence over ignored ones.
 */
function chooseObject(
  row: number,
  truth: readonly CocoAnnotation[],
  { columns, counted }: ObjectOrder,
  table: OverlapTable,
  { taken, bit, threshold }: { taken: Uint32Array; bit: number; threshold: number },
): number {
  let best = threshold;
  let chosen = -1;
  for (let place = 0; place < columns.length; place++) {
    const column = columns[place] ?? 0;
    if (((taken[place] ?? 0) >> bit) & 1 && truth[column]?.iscrowd !== 1) continue;
    if (chosen >= 0 && chosen < counted && place >= counted) break;
    const value = table.values[row * table.columns + column] ?? 0;
    if (value < best) continue;
    best = value;
    chosen = place;
  }
  return chosen;
}

// As fmin and fmax of C, by which pycocotools computes, these leave out what is not a number.
const smaller = (a: number, b: number) => (a < b || Number.isNaN(b) ? a : b);
const larger = (a: number, b: number) => (a > b || Number.isNaN(b) ? a : b);

/** The intersection over union; for a crowd, the intersection over the area of the detection. */
export function overlap([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box, crowd: boolean): number {
  const width = smaller(ax + aw, bx + bw) - larger(ax, bx);
  const height = smaller(ay + ah, by + bh) - larger(ay, by);
  if (width <= 0 || height <= 0) return 0;
  const intersection = width * height;
  return intersection / (crowd ? aw * ah : aw * ah + bw * bh - intersection);
}
