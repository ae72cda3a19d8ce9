/**
 * COCO's average precision for boxes, exactly as pycocotools' COCOeval computes it (cocoapi, PythonAPI/pycocotools/
 * cocoeval.py): the order of equal scores, crowds, area ranges and the interpolation included.
 */
import type { CocoAnnotation, CocoAnnotations } from '../data/coco.ts';
import type { CocoDetection } from './coco-detection.ts';
import { type Match, matchImage } from './match.ts';

/** The 12 figures in pycocotools' order. −1 where nothing is there to be found. */
export interface CocoFigures {
  readonly AP: number;
  readonly AP50: number;
  readonly AP75: number;
  readonly APsmall: number;
  readonly APmedium: number;
  readonly APlarge: number;
  readonly AR1: number;
  readonly AR10: number;
  readonly AR100: number;
  readonly ARsmall: number;
  readonly ARmedium: number;
  readonly ARlarge: number;
}

export interface CocoResult {
  readonly figures: CocoFigures;
  /** AP of each category by its id, −1 where it has no ground truth. */
  readonly averagePrecisionOf: ReadonlyMap<number, number>;
}

/** IoU from 0.50 to 0.95 and recall from 0 to 1, spaced as numpy.linspace does. */
const IOU_THRESHOLDS = linspace(0.5, 0.95, 10);
const RECALL_THRESHOLDS = linspace(0, 1, 101);
const MOST_DETECTIONS = [1, 10, 100] as const;
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

export interface ScoreOptions {
  /** Only these categories count. Default: all of the ground truth. */
  readonly categories?: readonly number[];
}

/** Scores detections against ground truth. Detections of unknown images or categories do not count, as in pycocotools. */
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

/** Precision at the recall thresholds and the highest recall, for each IoU threshold; undefined without ground truth. */
type Curve = { readonly precision: number[][]; readonly recall: number[] } | undefined;

/** One curve per number of detections allowed in an image, in the order of MOST_DETECTIONS. */
type Curves = Record<Area, Curve[]>;

function categoryCurves(pairs: readonly Pair[]): Curves {
  const curvesIn = (area: Area): Curve[] => {
    const matches = pairs.map(({ truth, detections }) =>
      matchImage(truth, detections, { area: AREAS[area], most: MOST_DETECTIONS[2], thresholds: IOU_THRESHOLDS }),
    );
    return MOST_DETECTIONS.map((most) => accumulate(matches, most));
  };
  return { all: curvesIn('all'), small: curvesIn('small'), medium: curvesIn('medium'), large: curvesIn('large') };
}

function accumulate(matches: readonly Match[], most: number): Curve {
  const positives = matches.reduce((sum, match) => sum + match.countedTruth, 0);
  if (positives === 0) return undefined;
  const rows = matches.flatMap((match) => match.detections.slice(0, most)).sort((a, b) => b.score - a.score);
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

/** At each recall threshold the highest precision at that recall or beyond; 0 where the recall is never reached. */
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

/** The mean over all categories, IoU thresholds (or one of them) and recall thresholds. */
function meanPrecision(curves: readonly Curve[], threshold?: number): number {
  const of = (curve: Curve) =>
    threshold === undefined ? curve?.precision : curve?.precision.slice(threshold, threshold + 1);
  return mean(curves.flatMap((curve) => of(curve)?.flat() ?? []));
}

const meanRecall = (curves: readonly Curve[]) => mean(curves.flatMap((curve) => curve?.recall ?? []));

function summarize(curves: readonly Curves[]): CocoFigures {
  const pick = (area: Area, most: number) => curves.map((curve) => curve[area][most]);
  const AT_75 = 5;
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
