/**
 * The matches of a whole data set in a compact form, from which the figures of any sample of its images follow without
 * matching again: those of all images, and those of every resample of a bootstrap.
 */
import type { CocoAnnotation, CocoAnnotations } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { AREA_NAMES, type Area, IOU_THRESHOLDS, MAX_DETECTIONS } from './coco-settings.ts';
import { hitsOf, ignoredOf, isIgnored, matchImage, type Outcome } from './match.ts';

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
  /** The hits with at most 1, 10 and 100 detections in an image, by threshold: the image of each. */
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
  const images = truth.images.map(({ id }) => id).sort((a, b) => a - b);
  const ids = new Set(options.categories ?? truth.categories.map(({ id }) => id));
  const categories = [...ids].sort((a, b) => a - b);
  const indexOf = new Map(images.map((id, index) => [id, index]));
  const objectsOf = group(truth.annotations, indexOf);
  const detectionsOf = group(detections, indexOf);
  return {
    images,
    categories: categories.map((id) => matchCategory(id, images.length, objectsOf.get(id), detectionsOf.get(id))),
  };
}

/** The items of each category and image; images are given by their indices. */
type Groups<T> = Map<number, Map<number, T[]>>;

function group<T extends { readonly image_id: number; readonly category_id: number }>(
  items: readonly T[],
  indexOf: ReadonlyMap<number, number>,
): Groups<T> {
  const groups: Groups<T> = new Map();
  for (const item of items) {
    const image = indexOf.get(item.image_id);
    if (image === undefined) continue;
    const ofCategory = groups.get(item.category_id) ?? new Map<number, T[]>();
    groups.set(item.category_id, ofCategory);
    const ofImage = ofCategory.get(image);
    if (ofImage) ofImage.push(item);
    else ofCategory.set(image, [item]);
  }
  return groups;
}

/** A detection that counts, with what became of it. */
interface Row {
  readonly score: number;
  readonly image: number;
  /** The number of better detections in the image. */
  readonly rank: number;
  readonly outcomes: readonly Outcome[];
}

function matchCategory(
  id: number,
  imageCount: number,
  objectsOf: ReadonlyMap<number, CocoAnnotation[]> | undefined,
  detectionsOf: ReadonlyMap<number, CocoDetection[]> | undefined,
): CategoryMatches {
  const rows: Row[] = [];
  const positives = AREA_NAMES.map(() => ({ images: [] as number[], counts: [] as number[] }));
  for (let image = 0; image < imageCount; image++) {
    const [objects = [], found = []] = [objectsOf?.get(image), detectionsOf?.get(image)];
    if (objects.length + found.length === 0) continue;
    const match = matchImage(objects, found);
    for (const [rank, outcomes] of match.outcomes.entries())
      rows.push({ score: match.scores[rank] ?? 0, image, rank, outcomes });
    for (const [area, count] of match.positives.entries())
      if (count > 0) {
        positives[area]?.images.push(image);
        positives[area]?.counts.push(count);
      }
  }
  // The sort is stable, as that of pycocotools is: equal scores stay in the order of the images.
  rows.sort((a, b) => b.score - a.score);
  const areas = AREA_NAMES.map((name, area) => {
    const { images = [], counts = [] } = positives[area] ?? {};
    const found = { images: Uint32Array.from(images), counts: Uint32Array.from(counts) };
    return [name, { ...collectArea(rows, area), positives: found }] as const;
  });
  return { id, areas: Object.fromEntries(areas) as CategoryMatches['areas'] }; // AREA_NAMES has every area
}

function collectArea(rows: readonly Row[], area: number): Omit<AreaMatches, 'positives'> {
  const counted = rows.filter(({ outcomes }) => !isIgnored(outcomes[area] ?? 0));
  const ties = findTies(counted);
  const eventRows: number[] = [];
  const events = IOU_THRESHOLDS.map((): number[] => []);
  const hits = MAX_DETECTIONS.map(() => IOU_THRESHOLDS.map((): number[] => []));
  for (const [index, { outcomes, image, rank }] of counted.entries()) {
    const [hit, ignored] = [hitsOf(outcomes[area] ?? 0), ignoredOf(outcomes[area] ?? 0)];
    if ((hit | ignored) === 0) continue;
    for (const bit of bitsOf(ignored)) events[bit]?.push(2 * eventRows.length + 1);
    for (const bit of bitsOf(hit)) {
      events[bit]?.push(2 * eventRows.length);
      for (const [limit, most] of MAX_DETECTIONS.entries()) if (rank < most) hits[limit]?.[bit]?.push(image);
    }
    eventRows.push(index);
  }
  const ends = eventRows.map((index) => index + 1);
  return {
    images: Uint32Array.from(counted.slice(0, ends.at(-1) ?? 0), ({ image }) => image),
    ends: Uint32Array.from(ends),
    ties: {
      before: Uint32Array.from(eventRows, (index) => index - (ties.starts[index] ?? 0)),
      count: Uint32Array.from(eventRows, (index) => (ties.ends[index] ?? 0) - (ties.starts[index] ?? 0)),
    },
    events: events.map((list) => Uint32Array.from(list)),
    hits: hits.map((byThreshold) => byThreshold.map((list) => Uint32Array.from(list))),
  };
}

/** The indices of the thresholds whose bits are set. */
const bitsOf = (bits: number): number[] => IOU_THRESHOLDS.flatMap((_, bit) => ((bits >> bit) & 1 ? [bit] : []));

/** For each detection, where those of the same image and score start and end. */
function findTies(rows: readonly Row[]): { readonly starts: Uint32Array; readonly ends: Uint32Array } {
  const [starts, ends] = [new Uint32Array(rows.length), new Uint32Array(rows.length)];
  let start = 0;
  for (const [index, { score, image }] of rows.entries()) {
    starts[index] = start;
    const next = rows[index + 1];
    if (next?.score === score && next.image === image) continue;
    ends.fill(index + 1, start, index + 1);
    start = index + 1;
  }
  return { starts, ends };
}
