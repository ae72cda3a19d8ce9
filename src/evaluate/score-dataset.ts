/** Runs a detector over a data set and scores it by COCO's protocol: every category is a phrase of one prompt. */
import {
  abortSignal,
  callback,
  checkOptions,
  checkValue,
  type OptionSchemas,
  objectWith,
  optional,
  text,
} from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoCategory, type CocoDataset, type CocoImage, checkDatasetArgument } from '../data/coco.ts';
import { readImage } from '../data/image.ts';
import { categoryPhrases } from '../data/phrases.ts';
import type { EncodedPrompt } from '../detect/base-detector.ts';
import type { Detector } from '../detect/detector.ts';
import { averagePrecision } from './average-precision.ts';
import type { CocoDetection } from './coco-detection.ts';
import type { EvaluationJournal } from './evaluation-journal.ts';
import { BOXES_PER_IMAGE, promptCategories } from './protocol.ts';
import type { CocoResult } from './score-matches.ts';

/** The score of a detector on a data set. */
export interface DatasetScore extends CocoResult {
  /** The number of images that were scored. */
  readonly images: number;
  /** Every detection that was scored, image by image, the best first. */
  readonly detections: readonly CocoDetection[];
}

/** Options of `scoreDataset`. */
export interface ScoreDatasetOptions extends WorkOptions {
  /** The name of the work in progress reports. Default: "Scoring". */
  readonly label?: string;
  /** Images that it lists are not run again, and each image that is done is added to it. */
  readonly journal?: EvaluationJournal | undefined;
  /** Called with sentences about categories that the model will hardly find or cannot tell apart. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

const scoreDatasetSchemas: OptionSchemas<ScoreDatasetOptions> = {
  label: optional(text),
  journal: optional(objectWith('what `openEvaluationJournal` returned', 'entries', 'append')),
  onNotice: optional(callback),
  onProgress: optional(callback),
  signal: optional(abortSignal),
};

/**
 * Detects every category in every image and scores the result. The detections of all images stay in memory (at most
 * 300 for each image); the images do not.
 * @throws UsageError if the data set has no images or no categories, and InputError if an image cannot be read
 * @example
 * await using detector = await Detector.create(source);
 * const { figures } = await scoreDataset(detector, dataset);
 * console.log(`AP ${(100 * figures.AP).toFixed(2)}`);
 */
export async function scoreDataset(
  detector: Detector,
  dataset: CocoDataset,
  options: ScoreDatasetOptions = {},
): Promise<DatasetScore> {
  checkValue('The detector', objectWith('a Detector', 'rank', 'encodePrompt'), detector);
  checkDatasetArgument(dataset);
  checkOptions('scoreDataset', scoreDatasetSchemas, options);
  const { signal, onNotice } = options;
  if (dataset.images.length === 0 || dataset.categories.length === 0)
    throw new UsageError('The data set has no images or no categories; there is nothing to score.');
  const categories = promptCategories(dataset);
  const encoded = await detector.encodePrompt(categoryPhrases(categories), signal);
  for (const sentence of encoded.prompt.warnings) onNotice?.(sentence);
  const detections = await detectImages(detector, dataset, async () => ({ categories, encoded }), options);
  return { ...averagePrecision(dataset, detections), images: dataset.images.length, detections };
}

/** The categories that are looked for in an image, and the prompt of their phrases in the same order. */
export interface ImagePrompt {
  /** The categories. */
  readonly categories: readonly Pick<CocoCategory, 'id'>[];
  /** The prompt. */
  readonly encoded: EncodedPrompt;
}

/**
 * Detects the categories of a prompt in every image: at most 300 boxes for each image, the best.
 *
 * @param promptOf the prompt for an image; undefined if nothing is looked for in it
 */
export async function detectImages(
  detector: Detector,
  dataset: CocoDataset,
  promptOf: (image: CocoImage) => Promise<ImagePrompt | undefined>,
  { onProgress, signal, label = 'Scoring', journal }: ScoreDatasetOptions,
): Promise<CocoDetection[]> {
  const known = new Map(journal?.entries.map(({ image, detections }) => [image, detections]));
  const detections: CocoDetection[] = [];
  for (const [done, image] of dataset.images.entries()) {
    signal?.throwIfAborted();
    let found: readonly CocoDetection[] | undefined = known.get(image.id);
    if (!found) {
      // Images of an earlier run are not reported, so that an estimate counts only the work of this one.
      onProgress?.({ label, done, total: dataset.images.length });
      const prompt = await promptOf(image);
      found = prompt ? await detectImage(detector, dataset, image, prompt, signal) : [];
      await journal?.append({ image: image.id, detections: found });
    }
    detections.push(...found);
  }
  onProgress?.({ label, done: dataset.images.length, total: dataset.images.length });
  return detections;
}

async function detectImage(
  detector: Detector,
  dataset: CocoDataset,
  image: CocoImage,
  { categories, encoded }: ImagePrompt,
  signal: AbortSignal | undefined,
): Promise<CocoDetection[]> {
  const picture = await readImage(dataset.pathOf(image), { ignoreOrientation: dataset.ignoreOrientation });
  const boxes = await detector.rank(picture, encoded, BOXES_PER_IMAGE, signal);
  return boxes.map(({ phrase, score, box }) => {
    return { image_id: image.id, category_id: categories[phrase]?.id ?? -1, bbox: box, score };
  });
}
