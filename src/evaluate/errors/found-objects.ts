/**
 * Which objects a detector finds with the boxes that a user sees, those of at least a score; which categories it takes for which;
 * and what of that another detector, such as its INT8 form, does differently.
 */
import { median } from '../../base/statistics.ts';
import {
  type CocoAnnotation,
  type CocoAnnotations,
  checkAnnotationsArgument,
  checkDetectionsArgument,
} from '../../data/coco.ts';
import type { CocoDetection } from '../coco-detection.ts';
import { findErrors } from './find-errors.ts';
import { OCCLUSIONS, type OcclusionGroup, occlusionOf, SIZES, type SizeGroup, sizeOf } from './object-groups.ts';

/** The images that `FoundChange` lists. */
const MAX_IMAGES = 20;

/** How many objects of a group are found. */
export interface FoundCount {
  /** The objects that a detection finds. */
  readonly found: number;
  /** All objects of the group. */
  readonly total: number;
}

/** How many objects of a group only one of two detectors finds. */
export interface ChangedCount {
  /** Found by the reference only. */
  readonly lost: number;
  /** Found by the other detector only. */
  readonly gained: number;
}

/** A value for each group of objects. */
export interface ByGroup<T> {
  /** By the size of the objects. */
  readonly size: Readonly<Record<SizeGroup, T>>;
  /** By how much of them other objects cover. */
  readonly occlusion: Readonly<Record<OcclusionGroup, T>>;
}

/** Detections of one category that lie on objects of another, and find nothing. */
export interface Confusion {
  /** The category of the object. */
  readonly object: number;
  /** The category of the detection. */
  readonly detected: number;
  /** How often that happens. */
  readonly count: number;
}

/** The objects that a detector finds, and those whose category it mistakes. */
export interface FoundObjects {
  /** The objects of each group. */
  readonly groups: ByGroup<FoundCount>;
  /** The categories that are taken for others, the most frequent first. */
  readonly confusions: readonly Confusion[];
}

/** The change of one category or one image. */
export interface ChangeOf extends ChangedCount {
  /** The id of the category or the image. */
  readonly id: number;
}

/** The objects that only one of a reference and another detector finds. */
export interface FoundChange extends ChangedCount {
  /** The objects of each group. */
  readonly groups: ByGroup<ChangedCount>;
  /** The categories with a change, those with most changes first. */
  readonly categories: readonly ChangeOf[];
  /**
   * The median of how far the score of a lost object's detection was above the least score; undefined if none is lost. A small
   * margin means that objects are lost because scores near the threshold move.
   */
  readonly lostMargin: number | undefined;
  /** The images with most changes, at most 20. */
  readonly images: readonly ChangeOf[];
}

/**
 * Finds out what a detector finds with its detections of at least `minScore`.
 * @example
 * const { groups, confusions } = findObjects(dataset, detections, 0.35);
 */
export function findObjects(
  truth: CocoAnnotations,
  detections: readonly CocoDetection[],
  minScore: number,
): FoundObjects {
  checkAnnotationsArgument(truth);
  checkDetectionsArgument(detections);
  const { detections: judged, unfound } = findErrors(truth, atLeast(detections, minScore));
  const found = judged.flatMap(({ object }) => (object ? [object] : []));
  const groups = byGroup(truth, (objects) => {
    const inGroup = (list: readonly CocoAnnotation[]) => list.filter((object) => objects.has(object)).length;
    const [foundCount, unfoundCount] = [inGroup(found), inGroup(unfound)];
    return { found: foundCount, total: foundCount + unfoundCount };
  });
  const counts = new Map<string, Confusion>();
  for (const { cause, target, detection } of judged) {
    if (cause !== 'classification' || !target) continue;
    const pair = { object: target.category_id, detected: detection.category_id };
    const key = `${pair.object} ${pair.detected}`;
    counts.set(key, { ...pair, count: (counts.get(key)?.count ?? 0) + 1 });
  }
  return { groups, confusions: [...counts.values()].sort((a, b) => b.count - a.count) };
}

/**
 * Finds out what changes from the detections of a reference to those of another detector.
 * @example
 * const { lost, gained } = findChange(dataset, await readDetections('fp32.json', dataset), detections, 0.35);
 */
export function findChange(
  truth: CocoAnnotations,
  reference: readonly CocoDetection[],
  detections: readonly CocoDetection[],
  minScore: number,
): FoundChange {
  checkAnnotationsArgument(truth);
  checkDetectionsArgument(reference);
  checkDetectionsArgument(detections);
  const scoresOf = (list: readonly CocoDetection[]) =>
    new Map(
      findErrors(truth, atLeast(list, minScore)).detections.flatMap(({ object, detection }) =>
        object ? [[object, detection.score] as const] : [],
      ),
    );
  const [before, after] = [scoresOf(reference), scoresOf(detections)];
  const lost = [...before.keys()].filter((object) => !after.has(object));
  const gained = [...after.keys()].filter((object) => !before.has(object));
  const changed = (accept: (object: CocoAnnotation) => boolean): ChangedCount => ({
    lost: lost.filter(accept).length,
    gained: gained.filter(accept).length,
  });
  const most = (key: 'category_id' | 'image_id') =>
    [...new Set([...lost, ...gained].map((object) => object[key]))]
      .map((id) => ({ id, ...changed((object) => object[key] === id) }))
      .sort((a, b) => b.lost + b.gained - a.lost - a.gained);
  return {
    ...changed(() => true),
    groups: byGroup(truth, (objects) => changed((object) => objects.has(object))),
    categories: most('category_id'),
    lostMargin: lost.length > 0 ? median(lost.map((object) => (before.get(object) ?? 0) - minScore)) : undefined,
    images: most('image_id').slice(0, MAX_IMAGES),
  };
}

const atLeast = (detections: readonly CocoDetection[], minScore: number) =>
  detections.filter(({ score }) => score >= minScore);

/** Computes a value for each group of objects. */
function byGroup<T>(truth: CocoAnnotations, of: (objects: ReadonlySet<CocoAnnotation>) => T): ByGroup<T> {
  const occlusions = occlusionOf(truth);
  const objects = [...occlusions.keys()];
  const entries = <Group extends string>(groups: readonly Group[], groupOf: (object: CocoAnnotation) => unknown) =>
    Object.fromEntries(
      groups.map((group) => [group, of(new Set(objects.filter((object) => groupOf(object) === group)))]),
    ) as Record<Group, T>; // every group has an entry
  return { size: entries(SIZES, sizeOf), occlusion: entries(OCCLUSIONS, (object) => occlusions.get(object)) };
}
