/** The identity of a labelled data set: everything in it that the score of a detector depends on. */

import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import {
  abortSignal,
  callback,
  checkOptions,
  checkValue,
  type OptionSchemas,
  optional,
  text,
} from '../base/check-options.ts';
import { readBytes } from '../base/files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { WorkOptions } from '../base/progress.ts';
import {
  type CocoAnnotations,
  type CocoDataset,
  checkAnnotationsArgument,
  checkDatasetArgument,
} from '../data/coco.ts';
import { promptCategories } from './protocol.ts';

/** Hashes by which two data sets are told apart. */
export interface DatasetIdentity {
  /** A hash of ids, names and contents: other pictures under the same names are other images. */
  readonly images: string;
  /** A hash of the annotations. */
  readonly annotations: string;
  /** A hash of the ids and phrases of the prompt, in order. */
  readonly prompt: string;
}

const identifyDatasetSchemas: OptionSchemas<WorkOptions> = {
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

/**
 * Reads every image of a data set once to identify it.
 * @throws UsageError if an image does not exist
 * @example
 * const { images } = await identifyDataset(dataset); // a SHA-256 hash
 */
export async function identifyDataset(dataset: CocoDataset, options: WorkOptions = {}): Promise<DatasetIdentity> {
  checkDatasetArgument(dataset);
  checkOptions('identifyDataset', identifyDatasetSchemas, options);
  const { onProgress, signal } = options;
  const hash = createHash('sha256');
  const { images, ignoreOrientation } = dataset;
  if (ignoreOrientation) hash.update('as stored');
  for (const [done, image] of images.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label: 'Identifying images', done, total: images.length });
    const bytes = await readBytes(dataset.pathOf(image));
    hash.update(JSON.stringify([image.id, image.file_name, bytes.length])).update(bytes);
  }
  onProgress?.({ label: 'Identifying images', done: images.length, total: images.length });
  return {
    images: hash.digest('hex'),
    annotations: hashJson(dataset.annotations),
    prompt: identifyPrompt(dataset),
  };
}

/** A hash of the ids and phrases of the prompt of all categories, in order. */
export const identifyPrompt = (dataset: CocoDataset): string =>
  hashJson(promptCategories(dataset).map(({ id, name }) => [id, name]));

/** The labels of some images, as far as a score depends on them. */
export interface LabelsIdentity {
  /** The name of the data set's folder or file. */
  readonly name: string;
  /** The number of images. */
  readonly images: number;
  /** The number of labelled boxes. */
  readonly boxes: number;
  /** The number of categories. */
  readonly categories: number;
  /** A hash of the images' names, the boxes and the categories. Pictures are not read. */
  readonly hash: string;
  /** A hash of the categories alone, which parts of one data set have in common. */
  readonly categoryHash: string;
}

/**
 * The identity of the labels of a data set, for which no picture is read.
 * @param name the name of its folder or file
 * @example
 * const { hash } = identifyLabels(await readDataset('coco/val2017'), 'val2017');
 */
export function identifyLabels(truth: CocoAnnotations, name: string): LabelsIdentity {
  checkAnnotationsArgument(truth);
  checkValue('The name', text, name);
  const { images, annotations, categories } = truth;
  const hash = createHash('sha256');
  // One at a time, since the text of a large data set would be as large as its file.
  for (const { id, file_name } of images) hash.update(JSON.stringify([id, basename(file_name)]));
  for (const { image_id, category_id, bbox, iscrowd } of annotations)
    hash.update(JSON.stringify([image_id, category_id, bbox, iscrowd]));
  const categoryHash = hashJson(categories.map((category) => [category.id, category.name]));
  hash.update(categoryHash);
  return {
    name,
    images: images.length,
    boxes: annotations.length,
    categories: categories.length,
    hash: hash.digest('hex'),
    categoryHash,
  };
}
