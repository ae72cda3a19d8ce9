/**
 * The cause of every wrong detection and every missed object, as TIDE defines them (Bolya et al., TIDE: A General Toolbox for
 * Identifying Object Detection Errors, ECCV 2020, section 2.2). The matching is that of the authors' package tidecv 1.0.1, which
 * differs from COCO's in details: it takes the 100 best detections of an image over all categories, and only regions with
 * `iscrowd` are ignored.
 */
import { append } from '../../base/append.ts';
import { type CocoAnnotation, type CocoAnnotations, groupByImage } from '../../data/coco.ts';
import type { CocoDetection } from '../coco-detection.ts';
import { overlap } from '../match.ts';

/** An overlap (IoU) from which a detection is on an object. */
const FOREGROUND = 0.5;
/** An overlap up to which a detection is on the background. */
const BACKGROUND = 0.1;
/** The best detections of an image that count. */
const MAX_DETECTIONS = 100;

/** The causes of errors: those of wrong detections, and one of objects that are not found. */
export const ERROR_CAUSES = ['classification', 'localization', 'both', 'duplicate', 'background', 'missed'] as const;

/**
 * - `classification`: the box is on an object of another category;
 * - `localization`: the category is right, and the box overlaps the object by 0.1 to 0.5 only;
 * - `both`: the category is wrong and the box is not on an object;
 * - `duplicate`: a better detection has found the object before;
 * - `background`: the box overlaps no object by more than 0.1;
 * - `missed`: the object has no detection that a right category or a better box would turn into its detection.
 */
export type ErrorCause = (typeof ERROR_CAUSES)[number];

/** A detection that counts, or that is wrong. */
export interface JudgedDetection {
  readonly detection: CocoDetection;
  /** The object that it finds, if it is right. */
  readonly object?: CocoAnnotation | undefined;
  /** True if it lies in a region with many objects, so that it is neither right nor wrong. */
  readonly isIgnored: boolean;
  /** The cause of the error; undefined if the detection is right. */
  readonly cause?: Exclude<ErrorCause, 'missed'> | undefined;
  /** The object that it would find with its category or its box corrected. */
  readonly target?: CocoAnnotation | undefined;
  /** True if it is the best detection for its target, which no detection finds. */
  readonly isCorrection: boolean;
}

/** The judgement of a data set. */
export interface FoundErrors {
  /** The detections that count, image by image, the best first. */
  readonly detections: readonly JudgedDetection[];
  /** The objects that no detection finds. */
  readonly unfound: readonly CocoAnnotation[];
  /** Those of them that no correction of a detection finds either. */
  readonly missed: readonly CocoAnnotation[];
  /** The number of objects of each category, those of crowds left out. */
  readonly objectsOf: ReadonlyMap<number, number>;
}

/** Finds what is wrong with the detections of a data set. Detections in images that it does not list are left out. */
export function findErrors(truth: CocoAnnotations, detections: readonly CocoDetection[]): FoundErrors {
  const [objects, found] = [groupByImage(truth.annotations), groupByImage(detections)];
  const judged: JudgedDetection[] = [];
  const unfound: CocoAnnotation[] = [];
  const missed: CocoAnnotation[] = [];
  const objectsOf = new Map<number, number>();
  for (const { id } of truth.images) {
    const all = objects.get(id) ?? [];
    const counted = all.filter(({ iscrowd }) => iscrowd === 0);
    for (const { category_id } of counted) objectsOf.set(category_id, (objectsOf.get(category_id) ?? 0) + 1);
    // The sort is stable, as that of tidecv is.
    const best = (found.get(id) ?? []).toSorted((a, b) => b.score - a.score).slice(0, MAX_DETECTIONS);
    const crowds = all.filter(({ iscrowd }) => iscrowd === 1);
    const image = judgeImage(best, counted, crowds);
    append(judged, image.judged);
    append(unfound, image.unfound);
    append(missed, image.missed);
  }
  return { detections: judged, unfound, missed, objectsOf };
}

function judgeImage(
  best: readonly CocoDetection[],
  objects: readonly CocoAnnotation[],
  crowds: readonly CocoAnnotation[],
): { readonly judged: JudgedDetection[]; readonly unfound: CocoAnnotation[]; readonly missed: CocoAnnotation[] } {
  const overlaps = best.map(({ bbox }) => objects.map((object) => overlap(bbox, object.bbox, false)));
  const matched = matchObjects(best, objects, overlaps);
  const taken = new Set(matched);
  /** The objects for which a correction was found already. */
  const corrected = new Set<number>();
  const judged = best.map((detection, index): JudgedDetection => {
    const object = objects[matched[index] ?? -1];
    if (object) return { detection, object, isIgnored: false, isCorrection: false };
    const isIgnored = isInCrowd(detection, crowds);
    const { cause, target } = causeOf(detection, objects, overlaps[index] ?? [], taken);
    // Of several detections with the same target the best is corrected, and the others would be duplicates of it.
    const isCorrection = target !== undefined && !taken.has(target) && !corrected.has(target);
    if (isCorrection) corrected.add(target);
    return { detection, isIgnored, cause, target: objects[target ?? -1], isCorrection };
  });
  const free = objects.flatMap((object, index) => (taken.has(index) ? [] : [{ object, index }]));
  return {
    judged,
    unfound: free.map(({ object }) => object),
    missed: free.filter(({ index }) => !corrected.has(index)).map(({ object }) => object),
  };
}

/** For each detection, the index of the object that it finds: the free one of its category that it overlaps most; −1 if none. */
function matchObjects(
  best: readonly CocoDetection[],
  objects: readonly CocoAnnotation[],
  overlaps: readonly (readonly number[])[],
): number[] {
  const free = objects.map(() => true);
  return best.map((detection, row) => {
    const chosen = highest(objects, (object, index) =>
      free[index] && object.category_id === detection.category_id ? (overlaps[row]?.[index] ?? 0) : 0,
    );
    if (chosen.value < FOREGROUND) return -1;
    free[chosen.index] = false;
    return chosen.index;
  });
}

/** The first object with the highest value. */
function highest(
  objects: readonly CocoAnnotation[],
  measure: (object: CocoAnnotation, index: number) => number,
): { readonly index: number; readonly value: number } {
  let best = { index: -1, value: Number.NEGATIVE_INFINITY };
  for (const [index, object] of objects.entries()) {
    const value = measure(object, index);
    if (value > best.value) best = { index, value };
  }
  return best;
}

const isInCrowd = ({ bbox, category_id }: CocoDetection, crowds: readonly CocoAnnotation[]): boolean =>
  crowds.some((crowd) => crowd.category_id === category_id && overlap(bbox, crowd.bbox, true) > FOREGROUND);

/** The cause of a detection that finds no object. The causes are tried in tidecv's order. */
function causeOf(
  { category_id }: CocoDetection,
  objects: readonly CocoAnnotation[],
  overlaps: readonly number[],
  taken: ReadonlySet<number>,
): { readonly cause: Exclude<ErrorCause, 'missed'>; readonly target?: number } {
  const isSame = (object: CocoAnnotation) => object.category_id === category_id;
  const at = (index: number) => overlaps[index] ?? 0;
  const same = highest(objects, (object, index) => (isSame(object) ? at(index) : 0));
  if (same.value >= BACKGROUND && same.value <= FOREGROUND) return { cause: 'localization', target: same.index };
  const other = highest(objects, (object, index) => (isSame(object) ? 0 : at(index)));
  if (other.value >= FOREGROUND) return { cause: 'classification', target: other.index };
  const found = highest(objects, (object, index) => (isSame(object) && taken.has(index) ? at(index) : 0));
  if (found.value >= FOREGROUND) return { cause: 'duplicate' };
  const any = highest(objects, (_, index) => at(index));
  return { cause: any.value <= BACKGROUND ? 'background' : 'both' };
}
