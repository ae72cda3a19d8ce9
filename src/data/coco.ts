/**
 * Data sets in memory, in the terms of COCO (https://cocodataset.org/#format-data). Every layout on disk is read into these
 * types by `datasets/read-dataset.ts`.
 */

import { z } from 'zod';
import { checkValue, objectWith, wholeNumber } from '../base/check-options.ts';
import { InputError } from '../base/errors.ts';

/** An image of a data set. */
export interface CocoImage {
  /** A number that no other image has. */
  readonly id: number;
  /** The name of the image as the annotations have it. */
  readonly file_name: string;
  /** The size in pixels; 0 if annotations do not say it and the pictures were not looked at. */
  readonly width: number;
  /** The size in pixels; 0 if annotations do not say it and the pictures were not looked at. */
  readonly height: number;
  /** The id in the file, if that is not a whole number. `id` is then its position among the sorted ids, counted from 1. */
  readonly sourceId?: string | undefined;
  /** In a federated data set such as LVIS: the categories of which it is known that the image shows none. */
  readonly neg_category_ids?: readonly number[] | undefined;
  /** In a federated data set such as LVIS: the categories of which not every object of the image is labelled. */
  readonly not_exhaustive_category_ids?: readonly number[] | undefined;
}

/** A labelled object. */
export interface CocoAnnotation {
  /** The number of the annotation. Scoring needs it only because pycocotools never counts the id 0 as found. */
  readonly id: number;
  /** The image that shows the object. */
  readonly image_id: number;
  /** The category of the object. */
  readonly category_id: number;
  /** Left, top, width and height in pixels. */
  readonly bbox: readonly [left: number, top: number, width: number, height: number];
  /** The area of the object in pixels, which is that of its segmentation where there is one. */
  readonly area: number;
  /** 1 for a region with many objects, in which detections count neither as right nor as wrong. */
  readonly iscrowd: 0 | 1;
}

/** A category. */
export interface CocoCategory {
  /** A number that no other category has. */
  readonly id: number;
  /** The name, which is the phrase by which objects are detected. */
  readonly name: string;
  /** The name of a group of categories. */
  readonly supercategory?: string | undefined;
  /** In LVIS: whether the category is rare, common or frequent in the images for training. */
  readonly frequency?: 'r' | 'c' | 'f' | undefined;
  /** The id in the file, if that is not a whole number. `id` is then its position among the sorted ids, counted from 1. */
  readonly sourceId?: string | undefined;
  /** False if the category is no phrase of the prompt, because its name is none. Its objects count in scores nevertheless. */
  readonly isPhrase?: boolean | undefined;
}

/** Labels in memory. */
export interface CocoAnnotations {
  /** The images, with or without annotations. */
  readonly images: readonly CocoImage[];
  /** The labelled objects of all images. */
  readonly annotations: readonly CocoAnnotation[];
  /** The categories, with or without annotations. */
  readonly categories: readonly CocoCategory[];
}

/** Annotations with the paths of their images. */
export interface CocoDataset extends CocoAnnotations {
  /** The path of an image. It throws an InputError if the image is a link that leads out of the folder of the pictures. */
  readonly pathOf: (image: CocoImage) => string;
  /** True if pictures are taken as they are stored, without the rotation that their EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
  /** The file or folder of the labels, which messages name. */
  readonly source?: string | undefined;
}

const countSchema = z.union([z.literal(Number.POSITIVE_INFINITY), wholeNumber(0)], { error: 'a whole number' });

/**
 * Returns the data set with only its first `count` images and their annotations.
 * @example
 * const sample = takeImages(await readDataset('coco/val2017'), 100);
 */
export function takeImages(dataset: CocoDataset, count: number): CocoDataset {
  checkDatasetArgument(dataset);
  checkValue('The number of images', countSchema, count);
  return count >= dataset.images.length ? dataset : keepImages(dataset, dataset.images.slice(0, count));
}

/** Returns the data set with only the given images and their annotations. */
export function keepImages(dataset: CocoDataset, images: readonly CocoImage[]): CocoDataset {
  const kept = new Set(images.map((image) => image.id));
  return { ...dataset, images, annotations: dataset.annotations.filter((annotation) => kept.has(annotation.image_id)) };
}

/** The objects or detections of each image, in their order, by the image's id. Images without any are left out. */
export function groupByImage<T extends { readonly image_id: number }>(items: readonly T[]): ReadonlyMap<number, T[]> {
  const groups = new Map<number, T[]>();
  for (const item of items) {
    const group = groups.get(item.image_id);
    if (group) group.push(item);
    else groups.set(item.image_id, [item]);
  }
  return groups;
}

/** The categories that are phrases of a prompt, in the order of the data set. */
export const phraseCategories = ({ categories }: Pick<CocoAnnotations, 'categories'>): readonly CocoCategory[] =>
  categories.filter(({ isPhrase }) => isPhrase !== false);

const annotationsSchema = objectWith(
  'labels, with their images, annotations and categories',
  'images',
  'annotations',
  'categories',
);
const datasetSchema = objectWith('what `readDataset` returned', 'images', 'annotations', 'categories', 'pathOf');
const listSchema = z.custom((value) => Array.isArray(value), { error: 'a list of detections' });

/** @throws UsageError if what a caller gave as labels are none */
export function checkAnnotationsArgument(annotations: CocoAnnotations): void {
  checkValue('The data set', annotationsSchema, annotations);
}

/** @throws UsageError if what a caller gave as a data set is none */
export function checkDatasetArgument(dataset: CocoDataset): void {
  checkValue('The data set', datasetSchema, dataset);
}

/** @throws InputError if the images of a data set have no boxes */
export function requireBoxes({ annotations, source }: CocoDataset): void {
  if (annotations.length === 0)
    throw new InputError(
      `${source ?? 'The data set'} has no boxes in these images; there is nothing to score against.`,
    );
}

/** @throws UsageError if what a caller gave as detections is no list */
export function checkDetectionsArgument(detections: readonly object[]): void {
  checkValue('The detections', listSchema, detections);
}
