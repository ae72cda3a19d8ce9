/**
 * Annotations in COCO's format (https://cocodataset.org/#format-data), as COCO, LVIS, Objects365 and the exports of Roboflow,
 * Label Studio and CVAT have them. What has one meaning is read, such as a missing area or an id that is a text. What has
 * none, such as an id that two images have, is refused.
 */
import { z } from 'zod';
import { InputError } from '../../base/errors.ts';
import { parseWith } from '../../base/schema.ts';
import type { CocoAnnotation, CocoAnnotations, CocoCategory, CocoImage } from '../coco.ts';
import type { Box } from '../labelled-box.ts';
import { boxOfOutline } from './box-of-outline.ts';
import { readLooseJson } from './loose-json.ts';
import { numberIds } from './number-ids.ts';

const NUMBER_TEXT = /^\s*(?:NaN|[+-]?(?:Infinity|(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?))\s*$/;
const number = z.union([z.number(), z.string().regex(NUMBER_TEXT).transform(Number)], { error: 'expected a number' });
const identifier = z.union([z.number().int(), z.string().min(1)], { error: 'expected a whole number or a text' });
const isTrue = z
  .union([z.boolean(), z.literal([0, 1]), z.stringFormat('truth', /^(?:0|1|true|false)$/i)], {
    error: 'expected 0, 1, true or false',
  })
  .transform((value) => (typeof value === 'string' ? /^(?:1|true)$/i.test(value) : Boolean(value)));

const imageSchema = z.object({
  id: identifier,
  file_name: z.string().nullish(),
  /** Names the picture where there is no file name, in LVIS. */
  coco_url: z.string().nullish(),
  width: number.nullish(),
  height: number.nullish(),
  neg_category_ids: z.array(identifier).nullish(),
  not_exhaustive_category_ids: z.array(identifier).nullish(),
});

const annotationSchema = z.object({
  id: identifier.nullish(),
  image_id: identifier,
  category_id: identifier,
  bbox: z.union([z.tuple([number, number, number, number]), z.tuple([])], { error: 'expected four numbers' }).nullish(),
  segmentation: z.unknown().optional(),
  area: number.nullish(),
  iscrowd: isTrue.nullish(),
});

const categorySchema = z.object({
  id: identifier,
  name: z.union([z.string(), z.number().transform(String)], { error: 'expected a text' }).nullish(),
  supercategory: z.string().nullish().catch(undefined),
});

const fileSchema = z.object({
  images: z.array(imageSchema),
  annotations: z.array(annotationSchema).nullish(),
  categories: z.array(categorySchema),
});

/** Options of `readAnnotations`. */
export interface ReadAnnotationsOptions {
  /** Called with one sentence for each thing that was left out or taken in a way that the caller should know. */
  readonly onNotice?: ((sentence: string) => void) | undefined;
}

/**
 * Reads an annotation file.
 * @throws UsageError if it does not exist; InputError, which names the first wrong field, if it is not in COCO's format
 * @example
 * const { categories } = await readAnnotations('annotations/instances_val2017.json');
 */
export async function readAnnotations(path: string, options: ReadAnnotationsOptions = {}): Promise<CocoAnnotations> {
  return parseAnnotations(await readLooseJson(path), path, options);
}

/**
 * Reads the parsed JSON of an annotation file.
 * @param path the name of the file in messages
 * @throws InputError if a field is wrong, or if two images or two categories have the same id
 */
export function parseAnnotations(
  value: unknown,
  path: string,
  { onNotice }: ReadAnnotationsOptions = {},
): CocoAnnotations {
  if (Array.isArray(value))
    throw new InputError(
      `${path} has a list at its top; annotations in COCO's format are an object with images, annotations and categories.`,
    );
  const file = parseWith(fileSchema, value, path);
  const imageIds = numberIds(
    file.images.map(({ id }) => id),
    'images',
    path,
  );
  const categoryIds = numberIds(
    file.categories.map(({ id }) => id),
    'categories',
    path,
  );
  const known = (ids: readonly (string | number)[] | null | undefined) =>
    ids?.flatMap((id) => categoryIds.get(String(id))?.id ?? []);
  const images = file.images.map((image): CocoImage => {
    const { id, sourceId } = imageIds.get(String(image.id)) ?? { id: 0, sourceId: undefined }; // every id has a number
    const name = image.file_name || image.coco_url;
    if (!name) throw new InputError(`${path}: the image ${image.id} has no file_name; name its picture.`);
    const [negative, partial] = [known(image.neg_category_ids), known(image.not_exhaustive_category_ids)];
    return {
      id,
      file_name: name,
      width: knownSide(image.width),
      height: knownSide(image.height),
      ...(sourceId !== undefined && { sourceId }),
      ...(negative && { neg_category_ids: negative }),
      ...(partial && { not_exhaustive_category_ids: partial }),
    };
  });
  const entries = file.annotations ?? [];
  // Numbers that are complete are kept: pycocotools never counts an annotation with the id 0 as found.
  const keepsIds = entries.every(({ id }) => Number.isSafeInteger(id));
  const left = { image: 0, category: 0, box: 0 };
  const annotations = entries.flatMap((entry, place): CocoAnnotation[] => {
    const image = imageIds.get(String(entry.image_id));
    const category = categoryIds.get(String(entry.category_id));
    const box = boxOf(entry);
    if (!image) left.image++;
    else if (!category) left.category++;
    else if (!box) left.box++;
    if (!image || !category || !box) return [];
    return [
      {
        id: keepsIds ? Number(entry.id) : place + 1,
        image_id: image.id,
        category_id: category.id,
        bbox: box,
        area: entry.area ?? box[2] * box[3],
        iscrowd: entry.iscrowd ? 1 : 0,
      },
    ];
  });
  const categories = file.categories.map((category): CocoCategory => {
    const { id, sourceId } = categoryIds.get(String(category.id)) ?? { id: 0, sourceId: undefined }; // as above
    return {
      id,
      name: category.name ?? '',
      ...(category.supercategory && { supercategory: category.supercategory }),
      ...(sourceId !== undefined && { sourceId }),
    };
  });
  const tell = (count: number, what: string) => count > 0 && onNotice?.(`${path}: ${count} annotations ${what}.`);
  tell(left.image, 'are of images that are not listed, and are left out');
  tell(left.category, 'are of categories that are not listed, and are left out');
  tell(left.box, 'have neither a box nor an outline, and are left out');
  if (keepsIds)
    tell(
      annotations.length - new Set(annotations.map(({ id }) => id)).size,
      'have the id of another one; each of them counts, where pycocotools counts the last of the same id in place of all',
    );
  return { images, annotations, categories: withoutRoot(categories, annotations, path, onNotice) };
}

const knownSide = (side: number | null | undefined): number =>
  side !== null && side !== undefined && side > 0 && Number.isFinite(side) ? side : 0;

function boxOf({ bbox, segmentation }: z.output<typeof annotationSchema>): Box | undefined {
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
  onNotice: ReadAnnotationsOptions['onNotice'],
): readonly CocoCategory[] {
  const [root, ...others] = categories.filter(({ supercategory }) => supercategory === 'none');
  if (!root || others.length > 0 || categories.length === 1) return categories;
  if (annotations.some(({ category_id }) => category_id === root.id)) return categories;
  onNotice?.(
    `${path}: the category "${root.name}" is the group of the others (supercategory none) and not looked for.`,
  );
  return categories.map((category) => (category === root ? { ...category, isPhrase: false } : category));
}
