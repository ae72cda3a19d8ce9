/** The detections of one or two detectors and the labels of their images, with which the steps that judge detections begin. */
import { InputError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, takeImages } from '../data/coco.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { readDetections } from '../evaluate/detections-file.ts';
import { type DatasetSource, readSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Detections: the path of a file in COCO's results format, or the list itself. */
export type DetectionSource = string | readonly CocoDetection[];

/** Options of every step that judges detections. */
export interface JudgedDetectionsOptions extends WorkOptions, OverwriteOptions {
  /** The detections to judge. */
  readonly detections: DetectionSource;
  /** The labels: an annotation file, or a data set. No picture is read. */
  readonly annotations: DatasetSource;
  /** The detections of another detector in the same images, such as the float model; the differences are found too. */
  readonly against?: DetectionSource | undefined;
  /** Looks only at the first images, this many; all by default. */
  readonly images?: number | undefined;
  /** The JSON file to write. */
  readonly output?: string | undefined;
}

/** Detections with the labels that they are judged by. */
export interface JudgedDetections {
  readonly dataset: CocoDataset;
  readonly detections: readonly CocoDetection[];
  readonly against: readonly CocoDetection[] | undefined;
}

/**
 * Opens detections and their labels, after a check that the output is none of these files.
 *
 * @throws UsageError if a file does not exist; InputError if the detections do not belong to the annotations, or if there are no
 * boxes to judge by
 */
export async function openJudgedDetections(options: JudgedDetectionsOptions): Promise<JudgedDetections> {
  const { images, output, onProgress, onNotice, signal } = options;
  const files = [options.detections, options.against].filter((source) => typeof source === 'string');
  await checkStepFiles({ outputs: [output], data: [options.annotations, ...files], overwrite: options.overwrite });
  const every = await readSource(options.annotations, { onNotice, onProgress, signal });
  const dataset = takeImages(every, images ?? Number.POSITIVE_INFINITY);
  const detections = await openDetections(options.detections, every, options);
  if (dataset.annotations.length === 0)
    throw new InputError(
      `${dataset.source ?? 'The data set'} has no boxes in these images; there is nothing to score against.`,
    );
  const against = options.against === undefined ? undefined : await openDetections(options.against, every, options);
  return { dataset, detections, against };
}

/** Reads detections that are given by their path. @throws as `readDetections` */
export async function openDetections(
  source: DetectionSource,
  dataset: CocoDataset,
  { onProgress, signal }: WorkOptions,
): Promise<readonly CocoDetection[]> {
  return typeof source === 'string' ? readDetections(source, dataset, { onProgress, signal }) : source;
}
