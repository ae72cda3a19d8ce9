/**
 * COCO's average precision for boxes, exactly as pycocotools' COCOeval computes it (cocoapi, PythonAPI/pycocotools/
 * cocoeval.py), including the order of equal scores, crowds, ranges of area and the interpolation.
 */
import type { CocoAnnotation, CocoAnnotations } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { type Match, matchImage } from './match.ts';

/**
 * The 12 figures in pycocotools' order, each from 0 to 1, and −1 if there is no ground truth for it. AP is average precision
 * and AR average recall, over IoU from 0.50 to 0.95 unless the name says otherwise.
 */
export interface CocoFigures {
  /** Average precision over all objects. */
  readonly AP: number;
  /** Average precision at an IoU of 0.50. */
  readonly AP50: number;
  /** Average precision at an IoU of 0.75. */
  readonly AP75: number;
  /** Average precision of objects of less than 32² pixels. */
  readonly APsmall: number;
  /** Average precision of objects from 32² to 96² pixels. */
  readonly APmedium: number;
  /** Average precision of objects of more than 96² pixels. */
  readonly APlarge: number;
  /** Average recall with one detection in each image and category. */
  readonly AR1: number;
  /** Average recall with 10 detections in each image and category. */
  readonly AR10: number;
  /** Average recall with 100 detections in each image and category. */
  readonly AR100: number;
  /** Average recall of objects of less than 32² pixels. */
  readonly ARsmall: number;
  /** Average recall of objects from 32² to 96² pixels. */
  readonly ARmedium: number;
  /** Average recall of objects of more than 96² pixels. */
  readonly ARlarge: number;
}

/** The result of `averagePrecision`. */
export interface CocoResult {
  /** The figures over all categories. */
  readonly figures: CocoFigures;
  /** The AP of each category by its id; −1 if it has no ground truth. */
  readonly averagePrecisionOf: ReadonlyMap<number, number>;
}

/** IoU from 0.50 to 0.95, and recall from 0 to 1, with the floating-point values of numpy.linspace. */
const IOU_THRESHOLDS = linspace(0.5, 0.95, 10);
const RECALL_THRESHOLDS = linspace(0, 1, 101);
const MAX_DETECTIONS = [1, 10, 100] as const;
const AREAS = {
  all: [0, 1e10],
  small: [0, 32 ** 2],
  medium: [32 ** 2, 96 ** 2],
  large: [96 ** 2, 1e10],
} as const;

type Area = keyof typeof AREAS;

function linspace(start: number, stop: number, count: number): number[] {
  const step = (stop - start) / (count - 1);
  return Array.from({ length: count }, (_, index) => (index === count - 1 ? stop : index * step + start));
}

/** Options of `averagePrecision`. */
export interface ScoreOptions {
  /** The ids of the categories that count; by default all categories of the ground truth. */
  readonly categories?: readonly number[];
}

/**
 * Scores detections against ground truth. As in pycocotools, detections in unknown images or of unknown categories do not
 * count.
 * @param truth the annotations
 * @param detections the detections in any order
 * @example
 * const { figures } = averagePrecision(await readAnnotations('instances.json'), detections);
 * console.log(`AP ${(100 * figures.AP).toFixed(2)}`);
 */
export function averagePrecision(
  truth: CocoAnnotations,
  detections: readonly CocoDetection[],
  options: ScoreOptions = {},
): CocoResult {
  const categories = [...(options.categories ?? truth.categories.map((category) => category.id))].sort((a, b) => a - b);
  const images = truth.images.map((image) => image.id).sort((a, b) => a - b);
  const truthOf = groupByPair(truth.annotations);
  const detectionsOf = groupByPair(detections);
  const curves = categories.map((category) => {
    const pairs = images.flatMap((image) => {
      const key = pairKey(image, category);
      const pair = { truth: truthOf.get(key) ?? [], detections: detectionsOf.get(key) ?? [] };
      return pair.truth.length + pair.detections.length > 0 ? [pair] : [];
    });
    return categoryCurves(pairs);
  });
  return {
    figures: summarize(curves),
    averagePrecisionOf: new Map(
      categories.map((category, index) => [category, meanPrecision([curves[index]?.all[2]])]),
    ),
  };
}

const pairKey = (image: number, category: number) => `${image}/${category}`;

function groupByPair<T extends { image_id: number; category_id: number }>(items: readonly T[]): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const key = pairKey(item.image_id, item.category_id);
    const group = groups.get(key);
    if (group) group.push(item);
    else groups.set(key, [item]);
  }
  return groups;
}

interface Pair {
  readonly truth: readonly CocoAnnotation[];
  readonly detections: readonly CocoDetection[];
}

/**
 * For each IoU threshold, the precision at each recall threshold, and the highest recall. Undefined without ground truth.
 */
type Curve = { readonly precision: number[][]; readonly recall: number[] } | undefined;

/** For each range of area, a curve for each of `MAX_DETECTIONS`. */
type Curves = Record<Area, Curve[]>;

function categoryCurves(pairs: readonly Pair[]): Curves {
  const curvesIn = (area: Area): Curve[] => {
    const matches = pairs.map(({ truth, detections }) =>
      matchImage(truth, detections, {
        area: AREAS[area],
        maxDetections: MAX_DETECTIONS[2],
        thresholds: IOU_THRESHOLDS,
      }),
    );
    return MAX_DETECTIONS.map((maxDetections) => accumulate(matches, maxDetections));
  };
  return { all: curvesIn('all'), small: curvesIn('small'), medium: curvesIn('medium'), large: curvesIn('large') };
}

/** The curve over all images, with at most `maxDetections` detections in each. */
function accumulate(matches: readonly Match[], maxDetections: number): Curve {
  const positives = matches.reduce((sum, match) => sum + match.countedTruth, 0);
  if (positives === 0) return undefined;
  const rows = matches.flatMap((match) => match.detections.slice(0, maxDetections)).sort((a, b) => b.score - a.score);
  const results = IOU_THRESHOLDS.map((_, threshold) => {
    const precisions: number[] = [];
    const recalls: number[] = [];
    let [hits, misses] = [0, 0];
    for (const { matched, ignored } of rows) {
      if (!ignored[threshold]) {
        if (matched[threshold]) hits++;
        else misses++;
      }
      recalls.push(hits / positives);
      precisions.push(hits / (hits + misses + Number.EPSILON));
    }
    return { precision: interpolate(recalls, precisions), recall: recalls.at(-1) ?? 0 };
  });
  return { precision: results.map((result) => result.precision), recall: results.map((result) => result.recall) };
}

/** At each recall threshold, the highest precision at that recall or a higher one; 0 if the recall is never reached. */
function interpolate(recalls: readonly number[], precisions: number[]): number[] {
  for (let index = precisions.length - 1; index > 0; index--)
    precisions[index - 1] = Math.max(precisions[index - 1] ?? 0, precisions[index] ?? 0);
  let index = 0;
  return RECALL_THRESHOLDS.map((threshold) => {
    while (index < recalls.length && (recalls[index] ?? 0) < threshold) index++;
    return precisions[index] ?? 0;
  });
}

function mean(values: readonly number[]): number {
  return values.length === 0 ? -1 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The mean precision over categories, recall thresholds, and all IoU thresholds or the one of index `threshold`. */
function meanPrecision(curves: readonly Curve[], threshold?: number): number {
  const of = (curve: Curve) =>
    threshold === undefined ? curve?.precision : curve?.precision.slice(threshold, threshold + 1);
  return mean(curves.flatMap((curve) => of(curve)?.flat() ?? []));
}

const meanRecall = (curves: readonly Curve[]) => mean(curves.flatMap((curve) => curve?.recall ?? []));

function summarize(curves: readonly Curves[]): CocoFigures {
  /** The curves of all categories with the limit of detections at `index` of MAX_DETECTIONS. */
  const pick = (area: Area, index: number) => curves.map((curve) => curve[area][index]);
  const AT_75 = 5; // the index of 0.75 in IOU_THRESHOLDS
  return {
    AP: meanPrecision(pick('all', 2)),
    AP50: meanPrecision(pick('all', 2), 0),
    AP75: meanPrecision(pick('all', 2), AT_75),
    APsmall: meanPrecision(pick('small', 2)),
    APmedium: meanPrecision(pick('medium', 2)),
    APlarge: meanPrecision(pick('large', 2)),
    AR1: meanRecall(pick('all', 0)),
    AR10: meanRecall(pick('all', 1)),
    AR100: meanRecall(pick('all', 2)),
    ARsmall: meanRecall(pick('small', 2)),
    ARmedium: meanRecall(pick('medium', 2)),
    ARlarge: meanRecall(pick('large', 2)),
  };
}
