/** The step that scores the detections of any detector, and what it shares with the scoring of a model. */
import type { OptionSchemas } from '../base/check-options.ts';
import { writeAtomic } from '../base/files.ts';
import type { Estimate } from '../base/statistics.ts';
import type { CocoDataset } from '../data/coco.ts';
import { type BootstrapOptions, bootstrapScores, type FigureMap } from '../evaluate/bootstrap.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { type FederatedFigures, federatedPrecision, isFederated } from '../evaluate/federated.ts';
import { matchDetections } from '../evaluate/matches.ts';
import { type CocoFigures, scoreMatches } from '../evaluate/score-matches.ts';
import { type JudgedDetectionsOptions, nameOfDetections, openJudgedDetections } from './judged-detections.ts';
import { judgedDetectionsSchemas, seedSchema } from './option-schemas.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';

/** Options of `score`. */
export interface ScoreStepOptions extends JudgedDetectionsOptions {
  /** The seed of the confidence intervals; 0 by default. */
  readonly seed?: number | undefined;
}

const schemas: OptionSchemas<ScoreStepOptions> = { ...judgedDetectionsSchemas, seed: seedSchema };

/** The average precision of one category. */
export interface CategoryScore {
  /** The category's number in the data set. */
  readonly id: number;
  /** Its name, which is the phrase of the prompt. */
  readonly name: string;
  /** Average precision from 0 to 1; −1 if the data set has no box of the category. */
  readonly AP: number;
  /** The average precision with its interval; undefined if fewer than 10 images show the category. */
  readonly interval?: Estimate | undefined;
  /** The difference from the other detections. */
  readonly change?: Estimate | undefined;
}

/** The result of `score`. */
export interface ScoreResult {
  /** What was scored, and on which data set; undefined for the score in the result of another step. */
  readonly origin?: ResultOrigin | undefined;
  /** The number of images. */
  readonly images: number;
  /** COCO's 12 figures, from 0 to 1; −1 where there is nothing to score. */
  readonly figures: CocoFigures;
  /**
   * The figures with their 95 % confidence intervals, by a bootstrap over images. A figure is missing if it has no ground truth,
   * or only in fewer than 10 images.
   */
  readonly intervals: FigureMap<Estimate>;
  /** The difference of each figure from the other detections, with its interval; undefined without them. */
  readonly change?: FigureMap<Estimate> | undefined;
  /** The figures by LVIS's federated protocol, if the data set is federated, as LVIS is. */
  readonly federated?: FederatedFigures | undefined;
  /** The score of each category. */
  readonly categories: readonly CategoryScore[];
}

/**
 * Scores the detections of any detector as pycocotools does, with confidence intervals.
 *
 * @throws UsageError if a file does not exist; InputError if a detection is of an image or a category that the annotations do
 * not list, lacks a field or has a number that is not finite, or if there are no boxes to score against
 * @example
 * const { figures, change } = await score({
 *   detections: 'int8.json', against: 'fp32.json', annotations: 'coco/annotations/instances_val2017.json',
 * });
 * console.log(figures.AP, change?.AP); // 0.4512 { value: -0.0007, low: -0.0019, high: 0.0004 }
 */
export async function score(options: ScoreStepOptions): Promise<ScoreResult> {
  return runStep('score', schemas, options, () => scoreFiles(options));
}

async function scoreFiles(options: ScoreStepOptions): Promise<ScoreResult> {
  const { output, onProgress, signal, seed } = options;
  const { dataset, detections, against } = await openJudgedDetections(options);
  const subject = nameOfDetections(options.detections) ?? '';
  const result: ScoreResult = {
    origin: originOf('score', {
      subject,
      against: nameOfDetections(options.against),
      found: detections,
      foundBefore: against,
      dataset,
    }),
    ...(await scoreDetections(dataset, detections, against, { seed, onProgress, signal })),
  };
  if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** Scores detections, and the difference from others. */
export async function scoreDetections(
  dataset: CocoDataset,
  detections: readonly CocoDetection[],
  against?: readonly CocoDetection[],
  options?: BootstrapOptions,
): Promise<ScoreResult> {
  const matches = matchDetections(dataset, detections);
  const reference = against && matchDetections(dataset, against);
  const { figures, averagePrecisionOf } = scoreMatches(matches);
  const detectors = await bootstrapScores(reference ? [reference, matches] : [matches], options);
  const intervals = detectors.at(-1);
  return {
    images: dataset.images.length,
    figures,
    intervals: intervals?.figures ?? {},
    change: intervals?.change?.figures,
    ...(isFederated(dataset) && { federated: federatedPrecision(dataset, detections).figures }),
    categories: dataset.categories.map(({ id, name }) => ({
      id,
      name,
      AP: averagePrecisionOf.get(id) ?? -1,
      interval: intervals?.averagePrecisionOf.get(id),
      change: intervals?.change?.averagePrecisionOf.get(id),
    })),
  };
}
