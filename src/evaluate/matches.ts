/**
 * The matches of a whole data set in a compact form, from which the figures of any sample of its images follow without
 * matching again: those of all images, and those of every resample of a bootstrap.
 */
import {
  type CocoAnnotation,
  type CocoAnnotations,
  checkAnnotationsArgument,
  checkDetectionsArgument,
} from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { AREA_NAMES, type Area, IOU_THRESHOLDS, MAX_DETECTIONS } from './coco-settings.ts';
import { bestDetections, hitsOf, ignoredOf, isIgnored, matchImage, type Outcomes } from './match.ts';

/** The matches of detections with the objects of a data set. */
export interface Matches {
  /** The ids of the images, in the order in which pycocotools takes them. Indices of images refer to this list. */
  readonly images: readonly number[];
  /** The matches of each category, in the order of the categories' ids. */
  readonly categories: readonly CategoryMatches[];
}

/** The matches of one category. */
export interface CategoryMatches {
  /** The id of the category. */
  readonly id: number;
  /** The matches in each range of area. */
  readonly areas: Readonly<Record<Area, AreaMatches>>;
}

/**
 * The matches of one category in one range of area.
 *
 * Detections are in the order of their scores, and equal ones in that of the images. Only a few of them are *events*: those
 * that match an object at some overlap, or do not count at some. All others are wrong at every overlap, so that it is enough
 * to count them. Detections that count at no overlap are left out, and so are those after the last event.
 */
export interface AreaMatches {
  /** The image of each detection. */
  readonly images: Uint32Array;
  /** For each event, the number of detections up to it, itself included. */
  readonly ends: Uint32Array;
  /**
   * For each event, the number of detections before it that are of the same image and have the same score, and the number of
   * all of these. When an image is drawn twice, its copies follow each other as a whole.
   */
  readonly ties: {
    /** The detections of the same image and score before the event. */
    readonly before: Uint32Array;
    /** All detections of the same image and score. */
    readonly count: Uint32Array;
  };
  /** For each threshold, twice the index of each event that is a hit, and twice plus one that of each that does not count. */
  readonly events: readonly Uint32Array[];
  /** The hits with at most 1, 10 and 100 detections in an image (those of the protocol), by threshold: the image of each. */
  readonly hits: readonly (readonly Uint32Array[])[];
  /** The images with objects to be found, and the number of objects in each. */
  readonly positives: {
    /** The images, each once. */
    readonly images: Uint32Array;
    /** The number of objects in each of them. */
    readonly counts: Uint32Array;
  };
}

/** Options of `averagePrecision` and `matchDetections`. */
export interface ScoreOptions {
  /** The ids of the categories that count; by default all categories of the ground truth. */
  readonly categories?: readonly number[];
}

/**
 * Matches detections with ground truth. As in pycocotools, detections in unknown images or of unknown categories do not count.
 * @param truth the annotations
 * @param detections the detections in any order
 * @example
 * const matches = matchDetections(await readDataset('instances.json'), detections);
 * const { figures } = scoreMatches(matches);
 */
export function matchDetections(
  truth: CocoAnnotations,
  detections: readonly CocoDetection[],
  options: ScoreOptions = {},
): Matches {
  checkAnnotationsArgument(truth);
  checkDetectionsArgument(detections);
  return matchBy(truth, detections, options, { limits: MAX_DETECTIONS, isPartial: () => false });
}

/** In what a protocol differs from others. */
export interface MatchingProtocol {
  /** The numbers of best detections of an image and category for which hits are counted; no more than the last one count. */
  readonly limits: readonly number[];
  /** Whether not every object of a category is labelled in an image, which are given by their ids. */
  readonly isPartial: (image: number, category: number) => boolean;
}

/** Matches by a protocol. */
export function matchBy(
  truth: CocoAnnotations,
  detections: readonly CocoDetection[],
  options: ScoreOptions,
  protocol: MatchingProtocol,
): Matches {
  const images = truth.images.map(({ id }) => id).sort((a, b) => a - b);
  const ids = new Set(options.categories ?? truth.categories.map(({ id }) => id));
  const categories = [...ids].sort((a, b) => a - b);
  const indexOf = new Map(images.map((id, index) => [id, index]));
  const objectsOf = group(truth.annotations, indexOf);
  const detectionsOf = group(detections, indexOf);
  return {
    images,
    categories: categories.map((id) => matchCategory(id, images, objectsOf.get(id), detectionsOf.get(id), protocol)),
  };
}

/** The objects or the detections of a category, with the index of the image of each. */
interface Group<T> {
  readonly items: T[];
  readonly images: number[];
}

function group<T extends { readonly image_id: number; readonly category_id: number }>(
  items: readonly T[],
  indexOf: ReadonlyMap<number, number>,
): ReadonlyMap<number, Group<T>> {
  const groups = new Map<number, Group<T>>();
  for (const item of items) {
    const image = indexOf.get(item.image_id);
    if (image === undefined) continue;
    const ofCategory = groups.get(item.category_id);
    if (ofCategory) {
      ofCategory.items.push(item);
      ofCategory.images.push(image);
    } else groups.set(item.category_id, { items: [item], images: [image] });
  }
  return groups;
}

/** The items of each image, in their order. Images are visited by their indices. */
function byImage<T>(imageCount: number, { items, images }: Group<T> = { items: [], images: [] }): readonly T[][] {
  const lists: T[][] = new Array(imageCount);
  for (let index = 0; index < items.length; index++) {
    const [item, image] = [items[index], images[index]];
    if (item === undefined || image === undefined) continue;
    const list = lists[image];
    if (list) list.push(item);
    else lists[image] = [item];
  }
  return lists;
}

/** The detections of a category that count, image by image, the best of each image first. */
interface Rows {
  readonly scores: Float64Array;
  readonly images: Uint32Array;
  /** The number of better detections in the image. */
  readonly ranks: Uint16Array;
  /** What became of each in the ranges of area, in the order of `AREA_NAMES`. */
  readonly outcomes: readonly Outcomes[];
  /** The detections in the order of their scores. */
  readonly order: Uint32Array;
}

const NOTHING: readonly never[] = [];

function matchCategory(
  id: number,
  ids: readonly number[],
  objects: Group<CocoAnnotation> | undefined,
  detections: Group<CocoDetection> | undefined,
  { limits, isPartial }: MatchingProtocol,
): CategoryMatches {
  const imageCount = ids.length;
  const [objectsOf, detectionsOf] = [byImage(imageCount, objects), byImage(imageCount, detections)];
  const most = detections?.items.length ?? 0;
  const [scores, images, ranks] = [new Float64Array(most), new Uint32Array(most), new Uint16Array(most)];
  const outcomes = AREA_NAMES.map(() => new Uint32Array(most));
  const positives = AREA_NAMES.map(() => ({ images: [] as number[], counts: [] as number[] }));
  let length = 0;
  for (let image = 0; image < imageCount; image++) {
    const [truth = NOTHING, found = NOTHING] = [objectsOf[image], detectionsOf[image]];
    if (truth.length + found.length === 0) continue;
    const best = bestDetections(found, limits.at(-1) ?? 0);
    const toFind = matchImage(truth, best, outcomes, length, isPartial(ids[image] ?? 0, id));
    for (let rank = 0; rank < best.length; rank++, length++) {
      scores[length] = best[rank]?.score ?? 0;
      images[length] = image;
      ranks[length] = rank;
    }
    if (truth.length > 0)
      for (const [area, count] of toFind.entries())
        if (count > 0) {
          positives[area]?.images.push(image);
          positives[area]?.counts.push(count);
        }
  }
  const rows = { scores, images, ranks, outcomes, order: orderOf(scores.subarray(0, length)) };
  const areas = AREA_NAMES.map((name, area) => {
    const { images: withObjects = [], counts = [] } = positives[area] ?? {};
    const toFind = { images: Uint32Array.from(withObjects), counts: Uint32Array.from(counts) };
    return [name, { ...collectArea(rows, area, limits), positives: toFind }] as const;
  });
  return { id, areas: Object.fromEntries(areas) as CategoryMatches['areas'] }; // AREA_NAMES has every area
}

/** The indices of scores, from the highest. As in pycocotools, equal scores stay in the order of the images. */
function orderOf(scores: Float64Array): Uint32Array {
  const order = Uint32Array.from(scores, (_, index) => index);
  return order.sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
}

function collectArea(rows: Rows, area: number, limits: readonly number[]): Omit<AreaMatches, 'positives'> {
  const outcomes = rows.outcomes[area] ?? new Uint32Array();
  const counted = rows.order.filter((row) => !isIgnored(outcomes[row] ?? 0));
  const [ends, before, count]: [number[], number[], number[]] = [[], [], []];
  const events = IOU_THRESHOLDS.map((): number[] => []);
  const hits = limits.map(() => IOU_THRESHOLDS.map((): number[] => []));
  const addHit = (bit: number, row: number) => {
    for (let limit = limits.length - 1; limit >= 0 && (rows.ranks[row] ?? 0) < (limits[limit] ?? 0); limit--)
      hits[limit]?.[bit]?.push(rows.images[row] ?? 0);
  };
  for (let index = 0; index < counted.length; index++) {
    const row = counted[index] ?? 0;
    const [hit, ignored] = [hitsOf(outcomes[row] ?? 0), ignoredOf(outcomes[row] ?? 0)];
    if ((hit | ignored) === 0) continue;
    for (const bit of BITS[ignored] ?? []) events[bit]?.push(2 * ends.length + 1);
    for (const bit of BITS[hit] ?? []) {
      events[bit]?.push(2 * ends.length);
      addHit(bit, row);
    }
    const tie = tieOf(rows, counted, index);
    ends.push(index + 1);
    before.push(index - tie.start);
    count.push(tie.end - tie.start);
  }
  return {
    images: counted.subarray(0, ends.at(-1) ?? 0).map((row) => rows.images[row] ?? 0),
    ends: Uint32Array.from(ends),
    ties: { before: Uint32Array.from(before), count: Uint32Array.from(count) },
    events: events.map((list) => Uint32Array.from(list)),
    hits: hits.map((byThreshold) => byThreshold.map((list) => Uint32Array.from(list))),
  };
}

/** The indices of the thresholds whose bits are set, for each number of as many bits as there are thresholds. */
const BITS: readonly (readonly number[])[] = Array.from({ length: 1 << IOU_THRESHOLDS.length }, (_, bits) =>
  IOU_THRESHOLDS.flatMap((_threshold, bit) => ((bits >> bit) & 1 ? [bit] : [])),
);

/** Where the detections of the same image and score start and end, of which one is at `index`. */
function tieOf({ scores, images }: Rows, counted: Uint32Array, index: number): { start: number; end: number } {
  const row = counted[index] ?? 0;
  const isTied = (at: number) => {
    const other = counted[at];
    return other !== undefined && scores[other] === scores[row] && images[other] === images[row];
  };
  let [start, end] = [index, index + 1];
  while (isTied(start - 1)) start--;
  while (isTied(end)) end++;
  return { start, end };
}
