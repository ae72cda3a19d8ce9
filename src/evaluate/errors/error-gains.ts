/**
 * The average precision that would be gained if all errors of one cause were corrected, as TIDE defines it (Bolya et al., ECCV
 * 2020, section 2.3), with the arithmetic of its authors' package tidecv 1.0.1: AP at an overlap of 0.5, precision read at the
 * recalls 0, 0.01, … 1, and the mean over the categories that have an object or a detection that counts.
 */
import { type CocoAnnotations, checkAnnotationsArgument, checkDetectionsArgument } from '../../data/coco.ts';
import type { CocoDetection } from '../coco-detection.ts';
import { ERROR_CAUSES, type ErrorCause, type FoundErrors, findErrors, type JudgedDetection } from './find-errors.ts';

/** The recalls at which precision is read. COCO's differ from them in the last bits. */
const RECALLS = Array.from({ length: 101 }, (_, index) => index / 100);

/** The errors of one cause. */
export interface ErrorGain {
  /** The number of detections, or of objects for `missed`. */
  readonly count: number;
  /** The average precision that correcting all of them would add, from 0 to 1. */
  readonly gain: number;
}

/** The errors in the detections of a data set by their causes, with the average precision that each cause costs. */
export interface ErrorAnalysis {
  /** The average precision at an overlap of 0.5, from 0 to 1. */
  readonly AP50: number;
  /** The errors by their cause. The gains do not add up to what is missing, since corrections help each other. */
  readonly causes: Readonly<Record<ErrorCause, ErrorGain>>;
  /** The average precision that is gained if every wrong detection gets a lower score than every right one. */
  readonly falsePositives: number;
  /** The average precision that is gained, with the same detections, if the objects that are not found do not count. */
  readonly falseNegatives: number;
}

/**
 * Finds the causes of a detector's errors, and the average precision that each of them costs.
 * @param truth the annotations
 * @param detections the detections in any order
 * @example
 * const { causes } = analyzeErrors(await readDataset('instances.json'), detections);
 * console.log(causes.localization); // { count: 812, gain: 0.0631 }
 */
export function analyzeErrors(truth: CocoAnnotations, detections: readonly CocoDetection[]): ErrorAnalysis {
  checkAnnotationsArgument(truth);
  checkDetectionsArgument(detections);
  const errors = findErrors(truth, detections);
  const AP50 = meanPrecision(pointsOf(errors), errors.objectsOf);
  const gain = (cause: ErrorCause) => {
    const points = pointsOf(errors, (judged) => (judged.cause === cause ? corrected(judged) : original(judged)));
    const missing = cause === 'missed' ? errors.missed : [];
    // A correction can cost something by chance, where it moves a precision across one of the recalls.
    return Math.max(0, meanPrecision(points, without(errors.objectsOf, missing)) - AP50);
  };
  const count = (cause: ErrorCause) =>
    cause === 'missed' ? errors.missed.length : errors.detections.filter((each) => each.cause === cause).length;
  const perfectScores = pointsOf(errors, original).map((point) => ({ ...point, score: point.isRight ? 1 : 0 }));
  return {
    AP50,
    causes: Object.fromEntries(
      ERROR_CAUSES.map((cause) => [cause, { count: count(cause), gain: gain(cause) }]),
    ) as ErrorAnalysis['causes'], // ERROR_CAUSES has every cause
    falsePositives: meanPrecision(perfectScores, errors.objectsOf) - AP50,
    falseNegatives: meanPrecision(pointsOf(errors, original), without(errors.objectsOf, errors.unfound)) - AP50,
  };
}

/** A detection on the curve of precision over recall of a category. */
interface Point {
  readonly category: number;
  readonly score: number;
  readonly isRight: boolean;
}

/** The point of a wrong detection as it is. One in a crowd is on no curve. */
const original = ({ detection, isIgnored }: JudgedDetection): Point | undefined =>
  isIgnored ? undefined : { category: detection.category_id, score: detection.score, isRight: false };

/** The point of a wrong detection after its correction: it finds its target, or it is gone. */
const corrected = ({ detection, target, isCorrection }: JudgedDetection): Point | undefined =>
  isCorrection && target ? { category: target.category_id, score: detection.score, isRight: true } : undefined;

/** The points of all detections: those that are wrong first, which decides the order of equal scores as it does in tidecv. */
function pointsOf({ detections }: FoundErrors, wrong?: (judged: JudgedDetection) => Point | undefined): Point[] {
  const points = (judged: JudgedDetection): Point[] => {
    if (judged.object) return [{ category: judged.object.category_id, score: judged.detection.score, isRight: true }];
    const point = (wrong ?? original)(judged);
    return point ? [point] : [];
  };
  if (!wrong) return detections.flatMap(points);
  return [
    ...detections.filter(({ cause }) => cause !== undefined).flatMap(points),
    ...detections.filter(({ cause }) => cause === undefined).flatMap(points),
  ];
}

/** The numbers of objects without some of them. */
function without(objectsOf: ReadonlyMap<number, number>, objects: readonly { readonly category_id: number }[]) {
  const left = new Map(objectsOf);
  for (const { category_id } of objects) left.set(category_id, (left.get(category_id) ?? 0) - 1);
  return left;
}

/** The mean over the categories that have objects or points. */
function meanPrecision(points: readonly Point[], objectsOf: ReadonlyMap<number, number>): number {
  const curves = new Map<number, Point[]>([...objectsOf.keys()].map((category) => [category, []]));
  for (const point of points) {
    const curve = curves.get(point.category);
    if (curve) curve.push(point);
    else curves.set(point.category, [point]);
  }
  const counted = [...curves].filter(([category, curve]) => curve.length > 0 || (objectsOf.get(category) ?? 0) !== 0);
  if (counted.length === 0) return 0;
  const sum = counted.reduce((total, [category, curve]) => total + precisionOf(curve, objectsOf.get(category) ?? 0), 0);
  return sum / counted.length;
}

/** The mean of the highest precision at each of the recalls or a higher one; 0 where the recall is not reached. */
function precisionOf(curve: readonly Point[], objects: number): number {
  if (objects === 0) return 0;
  const sorted = curve.toSorted((a, b) => b.score - a.score);
  const precisions = new Float64Array(sorted.length);
  const recalls = new Float64Array(sorted.length);
  let right = 0;
  for (const [index, { isRight }] of sorted.entries()) {
    if (isRight) right++;
    precisions[index] = right / (index + 1);
    recalls[index] = right / objects;
  }
  for (let index = precisions.length - 1; index > 0; index--)
    precisions[index - 1] = Math.max(precisions[index - 1] ?? 0, precisions[index] ?? 0);
  let [index, sum] = [0, 0];
  for (const recall of RECALLS) {
    while (index < recalls.length && (recalls[index] ?? 0) < recall) index++;
    sum += precisions[index] ?? 0;
  }
  return sum / RECALLS.length;
}
