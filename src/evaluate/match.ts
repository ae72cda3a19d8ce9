/**
 * COCO's greedy matching of the detections and the objects of one image and category, for all overlaps and ranges of area at
 * once. Each overlap is computed once.
 */
import type { CocoAnnotation } from '../data/coco.ts';
import type { Box } from '../data/labelled-box.ts';
import type { CocoDetection } from './coco-detection.ts';
import { AREA_NAMES, AREAS, IOU_THRESHOLDS, MAX_DETECTIONS } from './coco-settings.ts';

/** The number of overlaps, each of which has a bit in `Outcome`. */
const THRESHOLDS = IOU_THRESHOLDS.length;
const EVERY_THRESHOLD = (1 << THRESHOLDS) - 1;

/**
 * What became of a detection in one range of area: bit t says that it matches an object at `IOU_THRESHOLDS[t]`, and bit 10 + t
 * that it does not count there.
 */
export type Outcome = number;

/** The bits of an outcome that say at which thresholds the detection matches an object that counts. */
export const hitsOf = (outcome: Outcome): number => outcome & EVERY_THRESHOLD & ~(outcome >> THRESHOLDS);
/** The bits of an outcome that say at which thresholds the detection does not count. */
export const ignoredOf = (outcome: Outcome): number => outcome >> THRESHOLDS;
/** The outcome of a detection that counts at no threshold. */
export const isIgnored = (outcome: Outcome): boolean => ignoredOf(outcome) === EVERY_THRESHOLD;

/** The result of `matchImage`. */
export interface Match {
  /** The scores of the detections that count, the best first. */
  readonly scores: readonly number[];
  /** The outcomes of each detection, in the order of `AREA_NAMES`. */
  readonly outcomes: readonly (readonly Outcome[])[];
  /** The number of objects to be found, in the order of `AREA_NAMES`. */
  readonly positives: readonly number[];
}

/** Matches the detections of one image and category to its objects. */
export function matchImage(truth: readonly CocoAnnotation[], found: readonly CocoDetection[]): Match {
  // All sorts are stable, as those of pycocotools are.
  const best = found.toSorted((a, b) => b.score - a.score).slice(0, MAX_DETECTIONS[2]);
  const overlaps = best.map(({ bbox }) => truth.map((object) => overlap(bbox, object.bbox, object.iscrowd === 1)));
  const candidates = overlaps.flatMap((row, index) => (row.some((value) => value >= 0.5) ? [index] : []));
  const outcomes: Outcome[][] = best.map(() => []);
  const positives: number[] = [];
  for (const area of AREA_NAMES) {
    const [minimum, maximum] = AREAS[area];
    const isOutside = (value: number) => value < minimum || value > maximum;
    // Objects that count come first.
    const objects = truth
      .map((object, column) => ({ object, column, ignored: object.iscrowd === 1 || isOutside(object.area) }))
      .sort((a, b) => Number(a.ignored) - Number(b.ignored));
    const unmatched = best.map(({ bbox }) => (isOutside(bbox[2] * bbox[3]) ? EVERY_THRESHOLD << THRESHOLDS : 0));
    for (const [index, outcome] of outcomesOf(unmatched, objects, overlaps, candidates).entries())
      outcomes[index]?.push(outcome);
    positives.push(objects.filter(({ ignored }) => !ignored).length);
  }
  return { scores: best.map(({ score }) => score), outcomes, positives };
}

/**
 * The outcomes of detections in one range of area.
 * @param unmatched the outcome of each detection if it matches no object
 * @param candidates the indices of the detections that overlap an object enough, in order
 */
function outcomesOf(
  unmatched: readonly Outcome[],
  objects: readonly Candidate[],
  overlaps: readonly (readonly number[])[],
  candidates: readonly number[],
): Outcome[] {
  const outcomes = [...unmatched];
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
  return outcomes;
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
