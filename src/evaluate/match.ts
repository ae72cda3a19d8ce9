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
  const overlaps = best.map(({ bbox }) => truth.map((object) => overlap(bbox, object.bbox, object.iscrowd === 1)));
  const candidates = overlaps.flatMap((row, index) => (row.some((value) => value >= 0.5) ? [index] : []));
  return RANGES.map(([minimum, maximum], index) => {
    const isOutside = ({ area }: CocoAnnotation) => area < minimum || area > maximum;
    // Objects that count come first; the sort is stable, as that of pycocotools is.
    const objects = truth
      .map((object, column) => ({ object, column, ignored: object.iscrowd === 1 || isOutside(object) }))
      .sort((a, b) => Number(a.ignored) - Number(b.ignored));
    const written = outcomes[index];
    if (written) matchArea(written.subarray(start, start + best.length), objects, overlaps, candidates);
    return objects.filter(({ ignored }) => !ignored).length;
  });
}

/**
 * Matches detections in one range of area.
 * @param outcomes the outcome of each detection if it matches no object, which the matches change
 * @param candidates the indices of the detections that overlap an object enough, in order
 */
function matchArea(
  outcomes: Outcomes,
  objects: readonly Candidate[],
  overlaps: readonly (readonly number[])[],
  candidates: readonly number[],
): void {
  for (const [bit, threshold] of IOU_THRESHOLDS.entries()) {
    const taken = objects.map(() => false);
    for (const index of candidates) {
      const chosen = chooseObject(overlaps[index] ?? [], objects, taken, threshold);
      const match = objects[chosen];
      if (!match) continue;
      taken[chosen] = true;
      const [hit, ignored] = [1 << bit, 1 << (THRESHOLDS + bit)];
      // pycocotools uses the id 0 for "not matched", so that an annotation with this id always counts as missed.
      const isHit = match.object.id !== 0;
      const before = outcomes[index] ?? 0;
      const counted = isHit ? (before & ~ignored) | hit : before;
      outcomes[index] = match.ignored ? counted | ignored : counted;
    }
  }
}

/** An object with its column in the table of overlaps. */
interface Candidate {
  readonly object: CocoAnnotation;
  readonly column: number;
  readonly ignored: boolean;
}

/**
 * The index of the free object with the highest overlap of at least `threshold`; −1 if there is none. Crowds are always free,
 * and objects that count take precedence over ignored ones.
 */
function chooseObject(
  overlaps: readonly number[],
  objects: readonly Candidate[],
  taken: readonly boolean[],
  threshold: number,
): number {
  let best = Math.min(threshold, 1 - 1e-10);
  let chosen = -1;
  for (const [index, { object, column, ignored }] of objects.entries()) {
    if (taken[index] && object.iscrowd !== 1) continue;
    if (chosen >= 0 && !objects[chosen]?.ignored && ignored) break;
    const value = overlaps[column] ?? 0;
    if (value < best) continue;
    best = value;
    chosen = index;
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
