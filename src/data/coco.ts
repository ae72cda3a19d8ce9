/** Data sets in COCO's format (https://cocodataset.org/#format-data): images, and annotations in one JSON file. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InputError, UsageError } from '../base/errors.ts';
import { exists, isDirectory, readJson } from '../base/files.ts';
import { parseWith } from '../base/schema.ts';

const identifier = z.number().int();

const imageSchema = z.object({
  id: identifier,
  file_name: z.string().min(1),
  width: z.number().int().positive(),
  height: z.number().int().positive(),
});

const annotationSchema = z.object({
  id: identifier,
  image_id: identifier,
  category_id: identifier,
  bbox: z.tuple([z.number(), z.number(), z.number(), z.number()]),
  area: z.number(),
  iscrowd: z.union([z.literal(0), z.literal(1)]).default(0),
});

const categorySchema = z.object({ id: identifier, name: z.string().min(1), supercategory: z.string().optional() });

const datasetSchema = z.object({
  images: z.array(imageSchema),
  annotations: z.array(annotationSchema),
  categories: z.array(categorySchema),
});

/** An image of the annotation file. */
export interface CocoImage {
  /** A number that no other image has. */
  readonly id: number;
  /** The path of the image, relative to the folder of the images. */
  readonly file_name: string;
  /** The size in pixels. */
  readonly width: number;
  /** The size in pixels. */
  readonly height: number;
}

/** A labelled object. */
export interface CocoAnnotation {
  /** A number that no other annotation has. */
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
}

/** The content of an annotation file. */
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
  /** The path of an image. */
  readonly pathOf: (image: CocoImage) => string;
}

/**
 * Reads an annotation file.
 * @throws UsageError if it does not exist; InputError, which names the first wrong field, if it is not in COCO's format
 * @example
 * const { categories } = await readAnnotations('annotations/instances_val2017.json');
 */
export async function readAnnotations(path: string): Promise<CocoAnnotations> {
  return parseAnnotations(await readJson(path), path);
}

/**
 * Checks the parsed JSON of an annotation file.
 * @param path the name of the file in error messages
 * @throws InputError if a field is wrong, an annotation refers to an unknown image or category, or an image is outside of the
 * folder
 */
export function parseAnnotations(value: unknown, path: string): CocoAnnotations {
  const dataset: CocoAnnotations = parseWith(datasetSchema, value, path);
  const images = new Set(dataset.images.map((image) => image.id));
  const categories = new Set(dataset.categories.map((category) => category.id));
  for (const annotation of dataset.annotations) {
    if (!images.has(annotation.image_id))
      throw new InputError(
        `${path}: the annotation ${annotation.id} is of the image ${annotation.image_id}, which is not listed.`,
      );
    if (!categories.has(annotation.category_id))
      throw new InputError(
        `${path}: the annotation ${annotation.id} is of the category ${annotation.category_id}, which is not listed.`,
      );
  }
  for (const image of dataset.images)
    if (image.file_name.startsWith('/') || image.file_name.split(/[\\/]/).includes('..'))
      throw new InputError(
        `${path}: the image ${image.id} points to "${image.file_name}", outside of its folder; refused.`,
      );
  return dataset;
}

/**
 * Opens a folder of images with annotations. For the folder `DIR/NAME` the annotations are
 * `DIR/annotations/instances_NAME.json`, or the only `*.json` in `DIR/NAME` or in `DIR/NAME/annotations`.
 * @throws UsageError if there are no annotations, or several files that could be them; InputError if they are wrong
 * @example
 * const dataset = await openCoco('coco/val2017');
 */
export async function openCoco(folder: string): Promise<CocoDataset> {
  if (!(await isDirectory(folder)))
    throw new UsageError(`${folder} is not a directory; a folder with images in COCO's layout is needed.`);
  const path = await findAnnotations(folder);
  const annotations = await readAnnotations(path);
  return { ...annotations, pathOf: (image) => join(folder, image.file_name) };
}

async function findAnnotations(folder: string): Promise<string> {
  const beside = join(dirname(folder), 'annotations', `instances_${basename(folder)}.json`);
  if (await exists(beside)) return beside;
  const nested = join(folder, 'annotations');
  for (const place of [folder, nested]) {
    if (!(await isDirectory(place))) continue;
    const found = (await readdir(place)).filter((name) => name.endsWith('.json'));
    const [only] = found;
    if (found.length === 1 && only) return join(place, only);
    if (found.length > 1)
      throw new UsageError(`${place} has ${found.length} JSON files; keep only the annotations of these images there.`);
  }
  throw new UsageError(`${folder} has no annotations: neither ${beside} nor a JSON file in ${folder} or ${nested}.`);
}

/**
 * Returns the data set with only its first `count` images and their annotations.
 * @example
 * const sample = takeImages(await openCoco('coco/val2017'), 100);
 */
export function takeImages(dataset: CocoDataset, count: number): CocoDataset {
  const images = dataset.images.slice(0, count);
  const kept = new Set(images.map((image) => image.id));
  return { ...dataset, images, annotations: dataset.annotations.filter((annotation) => kept.has(annotation.image_id)) };
}
