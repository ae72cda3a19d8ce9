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
  const { objectsOf } = errors;
  const AP50 = meanPrecision(curvesOf(errors), objectsOf);
  const gain = (cause: ErrorCause) => {
    const curves = curvesOf(errors, (judged) => (judged.cause === cause ? corrected(judged) : original(judged)));
    const missing = cause === 'missed' ? errors.missed : [];
    // A correction can cost something by chance, where it moves a precision across one of the recalls.
    return Math.max(0, meanPrecision(curves, without(objectsOf, missing)) - AP50);
  };
  const count = (cause: ErrorCause) =>
    cause === 'missed' ? errors.missed.length : errors.detections.filter((each) => each.cause === cause).length;
  const perfectScores = curvesOf(errors, original, (isRight) => (isRight ? 1 : 0));
  return {
    AP50,
    causes: Object.fromEntries(
      ERROR_CAUSES.map((cause) => [cause, { count: count(cause), gain: gain(cause) }]),
    ) as ErrorAnalysis['causes'], // ERROR_CAUSES has every cause
    falsePositives: meanPrecision(perfectScores, objectsOf) - AP50,
    falseNegatives: meanPrecision(curvesOf(errors, original), without(objectsOf, errors.unfound)) - AP50,
  };
}

/** The curve of precision over recall of a category: the scores of its detections, and whether each is right. */
interface Curve {
  readonly scores: number[];
  readonly isRight: boolean[];
}

/** Where a wrong detection stands: as what, in which category; undefined if it is on no curve. */
type Place = { readonly category: number; readonly isRight: boolean } | undefined;

/** The place of a wrong detection as it is. One in a crowd is on no curve. */
const original = ({ detection, isIgnored }: JudgedDetection): Place =>
  isIgnored ? undefined : { category: detection.category_id, isRight: false };

/** The place of a wrong detection after its correction: it finds its target, or it is gone. */
const corrected = ({ target, isCorrection }: JudgedDetection): Place =>
  isCorrection && target ? { category: target.category_id, isRight: true } : undefined;

/**
 * The curves of the categories that have an object or a detection, with their points in the order of the detections. If wrong
 * detections are placed by `placeOf`, they come first, which decides the order of equal scores as it does in tidecv.
 *
 * @param placeOf where a wrong detection stands
 * @param scoreOf the score by which a detection is ordered; by default its own
 */
function curvesOf(
  { detections, objectsOf }: FoundErrors,
  placeOf?: (judged: JudgedDetection) => Place,
  scoreOf = (_isRight: boolean, score: number): number => score,
): ReadonlyMap<number, Curve> {
  const curves = new Map<number, Curve>();
  for (const category of objectsOf.keys()) curves.set(category, { scores: [], isRight: [] });
  const add = (judged: JudgedDetection) => {
    const { object, detection } = judged;
    const place = object ? { category: object.category_id, isRight: true } : (placeOf ?? original)(judged);
    if (!place) return;
    const curve = curves.get(place.category) ?? { scores: [], isRight: [] };
    curves.set(place.category, curve);
    curve.scores.push(scoreOf(place.isRight, detection.score));
    curve.isRight.push(place.isRight);
  };
  for (const judged of detections) if (!placeOf || judged.cause !== undefined) add(judged);
  if (placeOf) for (const judged of detections) if (judged.cause === undefined) add(judged);
  return curves;
}

/** The numbers of objects without some of them. */
function without(objectsOf: ReadonlyMap<number, number>, objects: readonly { readonly category_id: number }[]) {
  const left = new Map(objectsOf);
  for (const { category_id } of objects) left.set(category_id, (left.get(category_id) ?? 0) - 1);
  return left;
}

/** The mean over the categories that have objects or points. */
function meanPrecision(curves: ReadonlyMap<number, Curve>, objectsOf: ReadonlyMap<number, number>): number {
  let [sum, count] = [0, 0];
  for (const [category, curve] of curves) {
    const objects = objectsOf.get(category) ?? 0;
    if (curve.scores.length === 0 && objects === 0) continue;
    sum += precisionOf(curve, objects);
    count++;
  }
  return count === 0 ? 0 : sum / count;
}

/** The mean of the highest precision at each of the recalls or a higher one; 0 where the recall is not reached. */
function precisionOf({ scores, isRight }: Curve, objects: number): number {
  if (objects === 0) return 0;
  const order = Uint32Array.from(scores.keys()).sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0) || a - b);
  const precisions = new Float64Array(order.length);
  const recalls = new Float64Array(order.length);
  let right = 0;
  for (const [index, point] of order.entries()) {
    if (isRight[point]) right++;
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
