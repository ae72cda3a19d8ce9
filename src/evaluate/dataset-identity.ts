/** The identity of a labelled data set: everything in it that the score of a detector depends on. */

import { createHash } from 'node:crypto';
import { abortSignal, callback, checkOptions, type OptionSchemas, optional } from '../base/check-options.ts';
import { readBytes } from '../base/files.ts';
import { hashJson } from '../base/hash-json.ts';
import type { WorkOptions } from '../base/progress.ts';
import { type CocoDataset, checkDatasetArgument } from '../data/coco.ts';
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
