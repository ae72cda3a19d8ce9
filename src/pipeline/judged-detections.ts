/** The detections of one or two detectors and the labels of their images, with which the steps that judge detections begin. */
import { append } from '../base/append.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, requireBoxes, takeImages } from '../data/coco.ts';
import type { CocoDetection } from '../evaluate/coco-detection.ts';
import { readDetections } from '../evaluate/detections-file.ts';
import { type DatasetSource, readSource } from './sources.ts';
import { checkStepFiles, type OverwriteOptions } from './step-files.ts';

/** Detections: the path of a file in COCO's results format, those of several files of different images, or the list itself. */
export type DetectionSource = string | readonly string[] | readonly CocoDetection[];

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
  const files = [options.detections, options.against].flatMap(pathsOf);
  await checkStepFiles({ outputs: [output], data: [options.annotations, ...files], overwrite: options.overwrite });
  const every = await readSource(options.annotations, { onNotice, onProgress, signal });
  const dataset = takeImages(every, images ?? Number.POSITIVE_INFINITY);
  const detections = await openDetections(options.detections, every, options);
  requireBoxes(dataset);
  const against = options.against === undefined ? undefined : await openDetections(options.against, every, options);
  noteImagesWithout('The detections', detections, dataset, options);
  if (against) noteImagesWithout('The detections to compare with', against, dataset, options);
  return { dataset, detections, against };
}

/** Says how many images have no detection, in which nothing counts as found. */
function noteImagesWithout(
  name: string,
  detections: readonly CocoDetection[],
  { images }: CocoDataset,
  { onNotice }: WorkOptions,
): void {
  const found = new Set(detections.map(({ image_id }) => image_id));
  const seen = images.filter(({ id }) => found.has(id)).length;
  if (seen < images.length)
    onNotice?.(`${name} are of ${seen} of ${images.length} images; in the others nothing counts as found.`);
}

/** The paths by which detections are given; none for the list itself. */
export function pathsOf(source: DetectionSource | undefined): readonly string[] {
  if (typeof source === 'string') return [source];
  return isPaths(source) ? source : [];
}

/** What detections are called: by one of their files, whatever the order of the files; undefined without detections. */
export const nameOfDetections = (source: DetectionSource | undefined): string | undefined =>
  source === undefined ? undefined : (pathsOf(source).toSorted()[0] ?? 'detections');

const isPaths = (source: DetectionSource | undefined): source is readonly string[] =>
  Array.isArray(source) && source.length > 0 && source.every((each) => typeof each === 'string');

/**
 * Reads detections that are given by paths.
 *
 * @throws as `readDetections`, and UsageError if two files have detections in one image, so that they are no parts of one whole
 */
export async function openDetections(
  source: DetectionSource,
  dataset: CocoDataset,
  { onProgress, signal }: WorkOptions,
): Promise<readonly CocoDetection[]> {
  const paths = pathsOf(source);
  if (paths.length === 0) return source as readonly CocoDetection[]; // a list without paths
  const repeated = paths.find((path, index) => paths.indexOf(path) !== index);
  if (repeated !== undefined) throw new UsageError(`${repeated} is named twice; name each part once.`);
  const detections: CocoDetection[] = [];
  const fileOf = new Map<number, string>();
  for (const path of paths) {
    const part = await readDetections(path, dataset, { onProgress, signal });
    if (paths.length === 1) return part;
    for (const { image_id } of part) {
      const other = fileOf.get(image_id) ?? path;
      if (other !== path)
        throw new UsageError(
          `${other} and ${path} both have detections in the image ${image_id}; parts of one whole are of different images.`,
        );
      fileOf.set(image_id, path);
    }
    append(detections, part);
  }
  return detections;
}
