/** The step that explains what is wrong with the detections of any detector, and what changed from another one. */
import { numberWithin, type OptionSchemas, optional } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { writeAtomic } from '../base/files.ts';
import { DEFAULT_THRESHOLD } from '../detect/select-boxes.ts';
import { analyzeErrors, type ErrorAnalysis } from '../evaluate/errors/error-gains.ts';
import { type FoundChange, type FoundObjects, findChange, findObjects } from '../evaluate/errors/found-objects.ts';
import { type JudgedDetectionsOptions, nameOfDetections, openJudgedDetections } from './judged-detections.ts';
import { judgedDetectionsSchemas } from './option-schemas.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';

/** Options of `explainErrors`. */
export interface ErrorsStepOptions extends JudgedDetectionsOptions {
  /** The score from which a box is shown, for objects that are found and categories that are confused; 0.35 by default. */
  readonly threshold?: number | undefined;
}

/** The defaults of `ErrorsStepOptions`. */
export const ERRORS_DEFAULTS: Defaults<ErrorsStepOptions, 'threshold'> = { threshold: DEFAULT_THRESHOLD };

const schemas: OptionSchemas<ErrorsStepOptions> = {
  ...judgedDetectionsSchemas,
  threshold: optional(numberWithin(0, 1)),
};

/** The result of `explainErrors`. */
export interface ErrorsResult extends FoundObjects {
  /** What was judged, and on which data set. */
  readonly origin: ResultOrigin;
  /** The number of images. */
  readonly images: number;
  /** The score from which a box counts for `groups`, `confusions` and `change`. */
  readonly threshold: number;
  /** The errors by their causes, over all scores. */
  readonly errors: ErrorAnalysis;
  /** The same for the other detections. */
  readonly errorsBefore?: ErrorAnalysis | undefined;
  /** The objects that only one of the two finds. */
  readonly change?: FoundChange | undefined;
  /** The names of the categories by their ids. */
  readonly categoryNames: Readonly<Record<number, string>>;
  /** The file names of the images in `change` by their ids. */
  readonly imageNames: Readonly<Record<number, string>>;
}

/**
 * Explains the errors of a detector: the cause of each and the average precision that it costs, as TIDE defines them; the objects
 * that are found by size and occlusion; the categories that are confused; and what changed from another detector.
 *
 * @throws UsageError if a file does not exist or the threshold is not from 0 to 1; InputError if the detections do not belong
 * to the annotations, or if there are no boxes to judge by
 * @example
 * const { errors, change } = await explainErrors({
 *   detections: 'int8.json', against: 'fp32.json', annotations: 'coco/annotations/instances_val2017.json',
 * });
 * console.log(errors.causes.localization.gain, change?.lost);
 */
export async function explainErrors(options: ErrorsStepOptions): Promise<ErrorsResult> {
  return runStep('explainErrors', schemas, options, () => explainFiles(options));
}

async function explainFiles(options: ErrorsStepOptions): Promise<ErrorsResult> {
  const { output, signal, threshold = ERRORS_DEFAULTS.threshold } = options;
  const { dataset, detections, against } = await openJudgedDetections(options);
  signal?.throwIfAborted();
  const change = against && findChange(dataset, against, detections, threshold);
  const changedImages = new Set(change?.images.map(({ id }) => id));
  const subject = nameOfDetections(options.detections) ?? '';
  const result: ErrorsResult = {
    origin: originOf('errors', {
      subject,
      against: nameOfDetections(options.against),
      found: detections,
      foundBefore: against,
      dataset,
    }),
    images: dataset.images.length,
    threshold,
    errors: analyzeErrors(dataset, detections),
    errorsBefore: against && analyzeErrors(dataset, against),
    ...findObjects(dataset, detections, threshold),
    change,
    categoryNames: Object.fromEntries(dataset.categories.map(({ id, name }) => [id, name])),
    imageNames: Object.fromEntries(
      dataset.images.filter(({ id }) => changedImages.has(id)).map(({ id, file_name }) => [id, file_name]),
    ),
  };
  if (output !== undefined) await writeAtomic(output, `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}
