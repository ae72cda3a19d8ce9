/**
 * Files of detections in COCO's results format (https://cocodataset.org/#format-results): a JSON list with an object for each
 * detection, which names its image and its category by the ids of the annotation file.
 */
import {
  abortSignal,
  callback,
  checkOptions,
  checkPath,
  checkValue,
  objectWith,
  optional,
} from '../base/check-options.ts';
import { describeValue } from '../base/describe-value.ts';
import { InputError } from '../base/errors.ts';
import { writeAtomic } from '../base/files.ts';
import type { JsonPart } from '../base/json-lists.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoAnnotations, checkDetectionsArgument } from '../data/coco.ts';
import { isLargeJson, readLooseJson, readLooseLists } from '../data/datasets/loose-json.ts';
import { isPossibleBox, LARGEST_COORDINATE } from '../data/labelled-box.ts';
import type { CocoDetection } from './coco-detection.ts';

const readDetectionsSchemas = { onProgress: optional(callback), signal: optional(abortSignal) };

const truthSchema = objectWith('labels, with their images and categories', 'images', 'categories');

function checkAnnotationsOf(truth: Pick<CocoAnnotations, 'images' | 'categories'>): void {
  checkValue('The annotations', truthSchema, truth);
}

/** The number of detections that are made text at a time, so that the text of a whole file never exists. */
const CHUNK = 10_000;

/**
 * Writes detections with every digit of their boxes and scores. The file appears whole or not at all.
 * @param truth the annotations, whose file's ids are written
 * @throws UsageError or InputError if the file cannot be written
 * @example
 * const { detections } = await scoreDataset(detector, dataset);
 * await writeDetections('detections.json', detections, dataset);
 */
export async function writeDetections(
  path: string,
  detections: readonly CocoDetection[],
  truth: Pick<CocoAnnotations, 'images' | 'categories'>,
): Promise<void> {
  checkPath(path);
  checkDetectionsArgument(detections);
  checkAnnotationsOf(truth);
  await writeAtomic(path, detectionChunks(detections, truth));
}

function* detectionChunks(
  detections: readonly CocoDetection[],
  { images, categories }: Pick<CocoAnnotations, 'images' | 'categories'>,
) {
  const imageId = sourceIds(images);
  const categoryId = sourceIds(categories);
  yield Buffer.from('[');
  for (let start = 0; start < detections.length; start += CHUNK) {
    const lines = detections.slice(start, start + CHUNK).map(({ image_id, category_id, bbox, score }) =>
      JSON.stringify({
        image_id: imageId.get(image_id) ?? image_id,
        category_id: categoryId.get(category_id) ?? category_id,
        bbox,
        score,
      }),
    );
    yield Buffer.from(`${start > 0 ? ',' : ''}\n${lines.join(',\n')}`);
  }
  yield Buffer.from('\n]\n');
}

/** The ids of the annotation file, by the numbers that stand for them. */
const sourceIds = (items: CocoAnnotations['images'] | CocoAnnotations['categories']): Map<number, string> =>
  new Map(items.flatMap(({ id, sourceId }) => (sourceId === undefined ? [] : [[id, sourceId]])));

/**
 * Reads detections of any detector. A large file is read a part at a time, so that it needs little more memory than its result.
 * @param truth the annotations that the detections refer to
 * @throws UsageError if the file does not exist; InputError, which names the first detection that is wrong, if one lacks a
 * field, refers to an image or a category that the annotations do not list, or has a number that is not finite
 * @example
 * const dataset = await readDataset('coco/val2017');
 * const { figures } = averagePrecision(dataset, await readDetections('results.json', dataset));
 */
export async function readDetections(
  path: string,
  truth: Pick<CocoAnnotations, 'images' | 'categories'>,
  options: Pick<WorkOptions, 'onProgress' | 'signal'> = {},
): Promise<CocoDetection[]> {
  checkPath(path);
  checkAnnotationsOf(truth);
  checkOptions('readDetections', readDetectionsSchemas, options);
  const isLarge = await isLargeJson(path);
  return collectDetections(isLarge ? readLooseLists(path, options) : [await wholeList(path)], path, truth);
}

/** The detections of the parts of a file. @throws as `readDetections` */
export async function collectDetections(
  parts: AsyncIterable<JsonPart> | Iterable<JsonPart>,
  path: string,
  truth: Pick<CocoAnnotations, 'images' | 'categories'>,
): Promise<CocoDetection[]> {
  const [imageOf, categoryOf] = [idReader(truth.images), idReader(truth.categories)];
  const detections: CocoDetection[] = [];
  let hasList = false;
  for await (const { start, items } of parts) {
    hasList = true;
    for (const [index, item] of items.entries()) {
      const detection = new DetectionReader(item, start + index, path);
      detections.push({
        image_id: detection.id('image_id', imageOf),
        category_id: detection.id('category_id', categoryOf),
        bbox: detection.box(),
        score: detection.score(),
      });
    }
  }
  if (!hasList) throw noList(path);
  return detections;
}

async function wholeList(path: string): Promise<JsonPart> {
  const items = await readLooseJson(path);
  if (!Array.isArray(items)) throw noList(path);
  return { list: '', start: 0, items };
}

const noList = (path: string) =>
  new InputError(
    `${path} is no list of detections; COCO's results format is a list of objects with image_id, category_id, bbox and score.`,
  );

/** Finds the number of an id of the annotation file; undefined if there is none. */
type IdReader = (id: unknown) => number | undefined;

/**
 * Ids are compared as texts, so that 42, "42" and 42.0 are one id, unless the annotations' ids are texts themselves. A file
 * holds some hundred thousand ids of few images, so that each is looked up and not converted.
 */
function idReader(items: CocoAnnotations['images'] | CocoAnnotations['categories']): IdReader {
  const known = new Map<unknown, number>();
  for (const { id, sourceId } of items) {
    known.set(sourceId ?? String(id), id);
    if (sourceId === undefined) known.set(id, id);
  }
  return (id) => known.get(typeof id === 'number' ? (known.has(id) ? id : String(id)) : id);
}

/** Reads the fields of one detection, and says which one is wrong. */
class DetectionReader {
  readonly #fields: object;
  readonly #index: number;
  readonly #path: string;

  constructor(value: unknown, index: number, path: string) {
    this.#index = index;
    this.#path = path;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw this.#error('is no object');
    this.#fields = value;
  }

  id(name: 'image_id' | 'category_id', find: IdReader): number {
    const id = this.#field(name);
    const found = find(id);
    if (found !== undefined) return found;
    throw this.#error(
      `has the ${name} ${describeValue(id)}, which the annotations do not list; score detections with the annotations of their data set`,
    );
  }

  box(): CocoDetection['bbox'] {
    const box = this.#field('bbox');
    const numbers = Array.isArray(box)
      ? box.filter((value) => typeof value === 'number' && isPossibleBox([value]))
      : [];
    const [x, y, width, height] = numbers;
    if (!Array.isArray(box) || box.length !== 4 || numbers.length !== 4)
      throw this.#error(
        `has the bbox ${short(box)}, which is not four finite numbers of at most ${LARGEST_COORDINATE}: left, top, width and height`,
      );
    if (width < 0 || height < 0)
      throw this.#error(
        `has the bbox ${short(box)}, whose width or height is negative; boxes are left, top, width and height`,
      );
    return [x, y, width, height];
  }

  score(): number {
    const score = this.#field('score');
    if (typeof score === 'number' && Number.isFinite(score)) return score;
    throw this.#error(`has the score ${short(score)}, which is no finite number`);
  }

  #field(name: string): unknown {
    const value: unknown = Reflect.get(this.#fields, name);
    if (value === undefined) throw this.#error(`has no ${name}`);
    return value;
  }

  #error(what: string): InputError {
    return new InputError(`${this.#path}: the detection ${this.#index + 1} of the list ${what}.`);
  }
}

/** A value as an error shows it. A text that stands for a number, as NaN does, is shown as such. */
const short = (value: unknown): string => (typeof value === 'string' ? value.slice(0, 80) : describeValue(value));
