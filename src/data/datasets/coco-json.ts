/**
 * Annotations in COCO's format (https://cocodataset.org/#format-data), as COCO, LVIS, Objects365 and the exports of Roboflow,
 * Label Studio and CVAT have them. What has one meaning is read, such as a missing area or an id that is a text. What has
 * none, such as an id that two images have, is refused.
 */

import { z } from 'zod';
import {
  abortSignal,
  callback,
  checkOptions,
  checkPath,
  type OptionSchemas,
  optional,
} from '../../base/check-options.ts';
import { InputError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { parseItems, parseWith } from '../../base/schema.ts';
import type { CocoAnnotation, CocoAnnotations, CocoCategory, CocoImage } from '../coco.ts';
import { type Box, isPossibleBox, LARGEST_COORDINATE } from '../labelled-box.ts';
import { boxOfOutline } from './box-of-outline.ts';
import { isLargeJson, type LooseListsOptions, readLooseJson, readLooseLists } from './loose-json.ts';
import { type FileId, type NumberedId, numberIds } from './number-ids.ts';

const NUMBER_TEXT = /^\s*(?:NaN|[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*$/;
const number = z.union([z.number(), z.string().regex(NUMBER_TEXT).transform(Number)], { error: 'it must be a number' });
const identifier = z.union([z.number().int(), z.string().min(1)], { error: 'it must be a whole number or a text' });
const isTrue = z
  .union([z.boolean(), z.literal([0, 1]), z.stringFormat('truth', /^(?:0|1|true|false)$/i)], {
    error: 'it must be 0, 1, true or false',
  })
  .transform((value) => (typeof value === 'string' ? /^(?:1|true)$/i.test(value) : Boolean(value)));

/** A number of pixels that is unknown is left out, 0, or not a number. */
const side = number.refine((value) => !(value > LARGEST_COORDINATE), {
  error: `it must be a number of at most ${LARGEST_COORDINATE}`,
});
// What Python writes as NaN is read as that: pycocotools counts such an object as one that is never found.
const area = number.refine((value) => !(value < 0 || value > LARGEST_COORDINATE ** 2), {
  error: 'it must be an area, a finite number from 0 up',
});
const coordinate = number.refine((value) => !(Math.abs(value) > LARGEST_COORDINATE), {
  error: `it must be a finite number of at most ${LARGEST_COORDINATE}`,
});
const coordinates = z.tuple([coordinate, coordinate, coordinate, coordinate]);

const imageSchema = z.object({
  id: identifier,
  file_name: z.string().nullish(),
  /** Names the picture where there is no file name, in LVIS. */
  coco_url: z.string().nullish(),
  width: side.nullish(),
  height: side.nullish(),
  neg_category_ids: z.array(identifier).nullish(),
  not_exhaustive_category_ids: z.array(identifier).nullish(),
});

const annotationSchema = z.object({
  id: identifier.nullish(),
  image_id: identifier,
  category_id: identifier,
  bbox: z.union([coordinates, z.tuple([])], { error: 'it must be four numbers' }).nullish(),
  segmentation: z.unknown().optional(),
  area: area.nullish(),
  iscrowd: isTrue.nullish(),
});

const categorySchema = z.object({
  id: identifier,
  name: z.union([z.string(), z.number().transform(String)], { error: 'it must be a text' }).nullish(),
  supercategory: z.string().nullish().catch(undefined),
  frequency: z.enum(['r', 'c', 'f']).nullish().catch(undefined),
});

const fileSchema = z.object({
  images: z.array(imageSchema),
  annotations: z.array(annotationSchema).nullish(),
  categories: z.array(categorySchema),
});

type ImageEntry = z.output<typeof imageSchema>;
type AnnotationEntry = z.output<typeof annotationSchema>;
type CategoryEntry = z.output<typeof categorySchema>;

/** The lists that a file must have, whose entries are checked elsewhere. */
const listsSchema = z.object({ images: z.array(z.unknown()), categories: z.array(z.unknown()) });

/** Options of `readAnnotations`. */
export interface ReadAnnotationsOptions extends WorkOptions {}

const readAnnotationsSchemas: OptionSchemas<ReadAnnotationsOptions> = {
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
};

/**
 * Reads an annotation file. A large one is read a part at a time, so that it needs little more memory than its result.
 * @throws UsageError if it does not exist; InputError, which names the first wrong field, if it is not in COCO's format
 * @example
 * const { categories } = await readAnnotations('annotations/instances_val2017.json');
 */
export async function readAnnotations(path: string, options: ReadAnnotationsOptions = {}): Promise<CocoAnnotations> {
  checkPath(path);
  checkOptions('readAnnotations', readAnnotationsSchemas, options);
  if (await isLargeJson(path)) return readLargeAnnotations(path, options);
  return parseAnnotations(await readLooseJson(path), path, options);
}

/**
 * Reads the parsed JSON of an annotation file.
 * @param path the name of the file in messages
 * @throws InputError if a field is wrong, or if two images or two categories have the same id
 */
export function parseAnnotations(value: unknown, path: string, options: ReadAnnotationsOptions = {}): CocoAnnotations {
  if (Array.isArray(value)) throw listAtTop(path);
  const file = parseWith(fileSchema, value, path);
  const collector = new AnnotationCollector(file, path, options);
  collector.add(file.annotations ?? []);
  return collector.finish();
}

/**
 * Reads an annotation file part by part: first its images and categories, then, from its beginning again, the annotations, which
 * refer to them and stand before the categories in COCO's own files.
 * @throws as `readAnnotations`
 */
export async function readLargeAnnotations(
  path: string,
  options: ReadAnnotationsOptions & Pick<LooseListsOptions, 'chunkBytes'> = {},
): Promise<CocoAnnotations> {
  const { onProgress, signal, chunkBytes } = options;
  const reading = { onProgress, signal, chunkBytes };
  const images: ImageEntry[] = [];
  const categories: CategoryEntry[] = [];
  const found = new Map<string, unknown[]>();
  for await (const part of readLooseLists(path, { ...reading, lists: ['images', 'categories'] })) {
    if (part.list === '') throw listAtTop(path);
    const isImages = part.list === 'images';
    found.set(part.list, isImages ? images : categories);
    // One by one: a spread of very many would exhaust the stack.
    if (isImages) for (const entry of parseItems(imageSchema, part, path)) images.push(entry);
    else for (const entry of parseItems(categorySchema, part, path)) categories.push(entry);
  }
  parseWith(listsSchema, Object.fromEntries(found), path);
  const collector = new AnnotationCollector({ images, categories }, path, options);
  for await (const part of readLooseLists(path, { ...reading, lists: ['annotations'] }))
    collector.add(parseItems(annotationSchema, part, path));
  return collector.finish();
}

const listAtTop = (path: string) =>
  new InputError(
    `${path} has a list at its top; annotations in COCO's format are an object with images, annotations and categories.`,
  );

/** Turns the entries of an annotation file into annotations, and counts what is left out. */
class AnnotationCollector {
  readonly #path: string;
  readonly #onNotice: WorkOptions['onNotice'];
  readonly #images: readonly CocoImage[];
  readonly #categories: readonly CocoCategory[];
  readonly #imageIds: ReadonlyMap<string, NumberedId>;
  readonly #categoryIds: ReadonlyMap<string, NumberedId>;
  readonly #annotations: { -readonly [Key in keyof CocoAnnotation]: CocoAnnotation[Key] }[] = [];
  /** The number of entries so far, and the places of those that are left out. */
  #entries = 0;
  readonly #leftOut: number[] = [];
  readonly #left = { image: 0, category: 0, box: 0 };
  /** True as long as all ids are numbers. They are kept then: pycocotools never counts an annotation with the id 0 as found. */
  #keepsIds = true;

  constructor(
    { images, categories }: { readonly images: readonly ImageEntry[]; readonly categories: readonly CategoryEntry[] },
    path: string,
    { onNotice }: ReadAnnotationsOptions,
  ) {
    const idsOf = (entries: readonly { readonly id: FileId }[], of: string) =>
      numberIds(
        entries.map(({ id }) => id),
        of,
        path,
      );
    this.#path = path;
    this.#onNotice = onNotice;
    this.#imageIds = idsOf(images, 'images');
    this.#categoryIds = idsOf(categories, 'categories');
    this.#images = images.map((image) => this.#image(image));
    this.#categories = categories.map(({ id, name, supercategory, frequency }) => ({
      ...numberOf(this.#categoryIds, id),
      name: name ?? '',
      ...(supercategory && { supercategory }),
      ...(frequency && { frequency }),
    }));
  }

  #image({ id, file_name, coco_url, width, height, ...lists }: ImageEntry): CocoImage {
    const name = file_name || coco_url;
    if (!name) throw new InputError(`${this.#path}: the image ${id} has no file_name; name its picture.`);
    const known = (ids: readonly FileId[] | null | undefined) =>
      ids?.flatMap((each) => this.#categoryIds.get(String(each))?.id ?? []);
    const [negative, partial] = [known(lists.neg_category_ids), known(lists.not_exhaustive_category_ids)];
    return {
      ...numberOf(this.#imageIds, id),
      file_name: name,
      width: knownSide(width),
      height: knownSide(height),
      ...(negative && { neg_category_ids: negative }),
      ...(partial && { not_exhaustive_category_ids: partial }),
    };
  }

  /** Adds entries that follow those before. */
  add(entries: readonly AnnotationEntry[]): void {
    for (const entry of entries) {
      const image = this.#imageIds.get(String(entry.image_id));
      const category = this.#categoryIds.get(String(entry.category_id));
      const box = boxOf(entry);
      const place = this.#entries++;
      if (box && !entry.bbox?.length && !isPossibleBox(box))
        throw new InputError(
          `${this.#path}: the outline of the annotation ${entry.id ?? place + 1} is not within ${LARGEST_COORDINATE} pixels.`,
        );
      this.#keepsIds &&= Number.isSafeInteger(entry.id);
      if (image && category && box) {
        this.#annotations.push({
          id: Number(entry.id),
          image_id: image.id,
          category_id: category.id,
          bbox: box,
          area: entry.area ?? box[2] * box[3],
          iscrowd: entry.iscrowd ? 1 : 0,
        });
        continue;
      }
      this.#leftOut.push(place);
      this.#left[image ? (category ? 'box' : 'category') : 'image']++;
    }
  }

  /** The annotations. What was left out is told. */
  finish(): CocoAnnotations {
    const [annotations, path] = [this.#annotations, this.#path];
    if (!this.#keepsIds) this.#numberByPlace();
    const tell = (count: number, what: string) =>
      count > 0 && this.#onNotice?.(`${path}: ${count} annotations ${what}.`);
    const unknown = annotations.filter(({ bbox, area: known }) => [...bbox, known].some(Number.isNaN)).length;
    tell(unknown, 'have a box or an area that is no number (NaN), and are never found, as in pycocotools');
    const reversed = annotations.filter(({ bbox: [, , width, height] }) => width < 0 || height < 0).length;
    tell(reversed, 'have a box of negative width or height, and are never found, as in pycocotools');
    tell(this.#left.image, 'are of images that are not listed, and are left out');
    tell(this.#left.category, 'are of categories that are not listed, and are left out');
    tell(this.#left.box, 'have neither a box nor an outline, and are left out');
    const repeated = Float64Array.from(annotations, ({ id }) => id)
      .sort()
      .reduce((count, id, index, ids) => count + (index > 0 && id === ids[index - 1] ? 1 : 0), 0);
    tell(
      repeated,
      'have the id of another one; each of them counts, where pycocotools counts the last of the same id in place of all',
    );
    const categories = withoutRoot(this.#categories, annotations, path, this.#onNotice);
    return { images: this.#images, annotations, categories };
  }

  /** Gives each annotation its place among all entries as its id, counted from 1. */
  #numberByPlace(): void {
    let [place, next] = [0, 0];
    for (const annotation of this.#annotations) {
      for (; this.#leftOut[next] === place; next++) place++;
      annotation.id = ++place;
    }
  }
}

/** The fields of an id: the number that stands for it, and the id of the file if that is none. */
function numberOf(ids: ReadonlyMap<string, NumberedId>, id: FileId): { id: number; sourceId?: string } {
  const numbered = ids.get(String(id)) ?? { id: 0, sourceId: undefined }; // every id has a number
  return numbered.sourceId === undefined ? { id: numbered.id } : { id: numbered.id, sourceId: numbered.sourceId };
}

const knownSide = (side: number | null | undefined): number =>
  side !== null && side !== undefined && side > 0 && Number.isFinite(side) ? side : 0;

function boxOf({ bbox, segmentation }: AnnotationEntry): Box | undefined {
  return bbox && bbox.length === 4 ? bbox : boxOfOutline(segmentation);
}

/**
 * Marks the category that Roboflow puts above the others, which stands for no objects: the only one whose supercategory is
 * "none", without any annotation.
 */
function withoutRoot(
  categories: readonly CocoCategory[],
  annotations: readonly CocoAnnotation[],
  path: string,
  onNotice: WorkOptions['onNotice'],
): readonly CocoCategory[] {
  const [root, ...others] = categories.filter(({ supercategory }) => supercategory === 'none');
  if (!root || others.length > 0 || categories.length === 1) return categories;
  if (annotations.some(({ category_id }) => category_id === root.id)) return categories;
  onNotice?.(
    `${path}: the category "${root.name}" is the group of the others (supercategory none) and not looked for.`,
  );
  return categories.map((category) => (category === root ? { ...category, isPhrase: false } : category));
}
