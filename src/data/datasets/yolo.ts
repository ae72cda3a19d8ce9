/**
 * YOLO data sets by the rules of Ultralytics (https://docs.ultralytics.com/datasets/detect): a YAML file names the classes and,
 * for each split, a folder of pictures, a text file with their paths, or several of these. The labels of
 * `images/a/b.jpg` are in `labels/a/b.txt`, a line for each object: the class, and the centre, width and height of the box
 * or the corners of a polygon, as fractions of the picture as it is meant to be seen.
 */
import { realpath } from 'node:fs/promises';
import { dirname, extname, join, relative, resolve, sep } from 'node:path';
import { z } from 'zod';
import { InputError, messageOf, UsageError } from '../../base/errors.ts';
import { entriesOf, exists, isDirectory, missingFile, readText } from '../../base/files.ts';
import { mapConcurrently } from '../../base/map-concurrently.ts';
import { parseWith } from '../../base/schema.ts';
import { parseYaml } from '../../base/yaml.ts';
import type { CocoAnnotation, CocoCategory, CocoDataset, CocoImage } from '../coco.ts';
import { isPictureName } from '../find-images.ts';
import { readPictureSizes } from '../image.ts';
import type { Box } from '../labelled-box.ts';
import type { Size } from '../size.ts';
import { boxOfPolygons } from './box-of-outline.ts';
import { chooseSplit } from './choose-split.ts';
import type { ReadDatasetOptions } from './dataset-options.ts';
import { labelFile } from './label-file.ts';
import { isWithin } from './picture-finder.ts';

const MAX_YAML_BYTES = 4 << 20;
const MAX_LIST_BYTES = 256 << 20;
const MAX_LABEL_BYTES = 16 << 20;
/** Pictures whose sizes and labels are read at the same time. */
const CONCURRENT = 8;
const SPLITS = ['train', 'val', 'test'] as const;
/** The file of the classes in exports of labelling tools that write no YAML file. */
export const CLASSES_FILE = 'classes.txt';

const place = z.union([z.string(), z.array(z.string())], { error: 'it must be a path or a list of paths' }).nullish();
const name = z.union([z.string(), z.number().transform(String), z.boolean().transform(String)]);
const yamlSchema = z.object({
  path: z.string().nullish(),
  train: place,
  val: place,
  test: place,
  nc: z.number().int().nullish(),
  names: z.union([z.array(name), z.record(z.string().regex(/^\d+$/), name)], {
    error: 'it must be a list of names, or a map from numbers to names',
  }),
  /** Of key points, which follow the box: their number, and the numbers of each. */
  kpt_shape: z.tuple([z.number().int().positive(), z.number().int().positive()]).nullish(),
});
type YoloFile = z.output<typeof yamlSchema>;

/**
 * Reads a YOLO data set.
 * @param path the YAML file, or a folder with `images`, `labels` and `classes.txt`
 * @throws UsageError if a split or a folder does not exist; InputError if a label is malformed, of an unknown class or outside of
 * the picture, or if a path leads out of the folder
 */
export async function readYolo(path: string, options: ReadDatasetOptions): Promise<CocoDataset> {
  const folder = (await isDirectory(path)) ? path : dirname(path);
  const file = folder === path ? await readClasses(folder) : await readYaml(path);
  const names = namesOf(file, path);
  const splits = SPLITS.filter((split) => [file[split] ?? []].flat().length > 0);
  if (splits.length === 0) throw new InputError(`${path} names no pictures: it has neither train nor val nor test.`);
  const split = chooseSplit(splits, options, path);
  const tree = await openTree(path, folder, file, options);
  const paths = new Set<string>();
  for (const each of [file[split] ?? []].flat()) for (const found of await tree.picturesOf(each)) paths.add(found);
  const sorted = [...paths].sort();
  if (sorted.length === 0) throw new UsageError(`${path}: the split ${split} has no pictures.`);
  const context = { names, keyPoints: file.kpt_shape, ...tree };
  const read = await mapConcurrently(sorted, (picture) => readPicture(picture, context, options), {
    label: 'Reading labels',
    limit: CONCURRENT,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  const pathOf = new Map<number, string>();
  const images: CocoImage[] = [];
  const annotations: CocoAnnotation[] = [];
  for (const [index, { path: picture, size, boxes }] of read.entries()) {
    const id = index + 1;
    pathOf.set(id, picture);
    images.push({ id, file_name: relative(tree.root, picture).split(sep).join('/'), ...size });
    for (const { category, box } of boxes) {
      const area = box[2] * box[3];
      annotations.push({
        id: annotations.length + 1,
        image_id: id,
        category_id: category,
        bbox: box,
        area,
        iscrowd: 0,
      });
    }
  }
  const tell = (count: number, what: string) => count > 0 && options.onNotice?.(`${path}: ${count} ${what}.`);
  tell(read.filter(({ hasLabels }) => !hasLabels).length, 'pictures have no file of labels and count as empty');
  tell(
    read.reduce((sum, { doubled }) => sum + doubled, 0),
    'labels occur twice in their file; each counts once',
  );
  return {
    images,
    annotations,
    categories: names.map((each, id): CocoCategory => ({ id, name: each })),
    pathOf: (image) => pathOf.get(image.id) ?? join(tree.root, image.file_name),
    source: path,
  };
}

/** True if the YAML file is that of a YOLO data set. */
export async function isYoloFile(path: string): Promise<boolean> {
  const content: unknown = await readText(path, MAX_YAML_BYTES)
    .then(parseYaml)
    .catch(() => undefined);
  return typeof content === 'object' && content !== null && 'names' in content && SPLITS.some((key) => key in content);
}

async function readYaml(path: string): Promise<YoloFile> {
  const text = await readText(path, MAX_YAML_BYTES);
  let content: unknown;
  try {
    content = parseYaml(text);
  } catch (error) {
    throw new InputError(`${path} is not valid YAML (${messageOf(error)}).`);
  }
  return parseWith(yamlSchema, content, path);
}

/** The content of a data.yaml for a folder that lists its classes in a text file, one on each line. */
async function readClasses(folder: string): Promise<YoloFile> {
  const path = join(folder, CLASSES_FILE);
  if (!(await exists(path)))
    throw new UsageError(
      `${folder} has labels of YOLO but neither a data.yaml nor a ${CLASSES_FILE} with the names of the classes; write one.`,
    );
  const names = (await readText(await labelFile(path, folder), MAX_YAML_BYTES))
    .split(/\r?\n/)
    .map((line) => line.trim());
  while (names.at(-1) === '') names.pop();
  return { names, val: 'images' };
}

/** The names by class, from 0. @throws InputError if their number is not that of the classes */
function namesOf({ names, nc }: YoloFile, path: string): string[] {
  const list = Array.isArray(names) ? names : Object.keys(names).map((_, index) => names[String(index)]);
  const missing = list.indexOf(undefined);
  if (missing >= 0)
    throw new InputError(`${path}: \`names\` has ${list.length} classes but none of the number ${missing}.`);
  if (list.length === 0) throw new InputError(`${path}: \`names\` has no classes.`);
  if (nc !== undefined && nc !== null && nc !== list.length)
    throw new InputError(`${path} says nc: ${nc}, but names has ${list.length} classes; correct one of them.`);
  return list as string[]; // none is undefined, by the check above
}

/** The folder of a data set with its pictures and labels. */
interface Tree {
  readonly root: string;
  /** The paths of the pictures that an entry of the YAML file stands for. */
  readonly picturesOf: (entry: string) => Promise<readonly string[]>;
  /** Refuses a path that leads out of the folder. */
  readonly check: (path: string) => Promise<string>;
}

async function openTree(
  path: string,
  folder: string,
  file: YoloFile,
  { imagesRoot, onNotice }: ReadDatasetOptions,
): Promise<Tree> {
  const root = imagesRoot ?? folder;
  const realRoot = await realpath(root).catch(() => {
    throw missingFile(root);
  });
  const isInside = async (each: string) => {
    const real = await realpath(each).catch(() => undefined);
    return real !== undefined && isWithin(real, realRoot);
  };
  const check = async (each: string) => {
    if (await isInside(each)) return each;
    throw new InputError(
      `${path}: ${each} leads out of ${root}; name the folder that has all pictures with \`imagesRoot\` to accept it.`,
    );
  };
  // Where the data set was made, `path` may be a folder of another machine.
  const stated = imagesRoot === undefined && file.path ? resolve(folder, file.path) : root;
  const isMoved = imagesRoot === undefined && stated !== resolve(root) && !(await exists(stated));
  if (isMoved) onNotice?.(`${path}: its path ${file.path} does not exist here; pictures are looked for in ${root}.`);
  const base = isMoved ? root : stated;
  const find = async (entry: string, from: readonly string[]) => {
    const plain = entry.trim().replaceAll('\\', '/');
    // Roboflow writes ../train/images and means train/images, as Ultralytics does.
    const candidates = [plain, plain.replace(/^(?:\.\.\/)+/, '')].flatMap((each) =>
      from.map((at) => resolve(at, each)),
    );
    const existing = [];
    for (const candidate of candidates) if (await exists(candidate)) existing.push(candidate);
    for (const candidate of existing) if (await isInside(candidate)) return candidate;
    if (existing[0] !== undefined) return check(existing[0]);
    throw new UsageError(`${path}: ${entry} does not exist in ${from[0]}; check the path, or name \`imagesRoot\`.`);
  };
  const picturesOf = async (entry: string): Promise<string[]> => {
    const found = await find(entry, [base, root]);
    if (await isDirectory(found)) {
      const entries = await entriesOf(found, true);
      const pictures = entries.filter((each) => !each.isDirectory() && isPictureName(each.name));
      for (const each of pictures) if (each.isSymbolicLink()) await check(join(each.parentPath, each.name));
      return pictures.map((each) => join(each.parentPath, each.name));
    }
    if (extname(found).toLowerCase() !== '.txt')
      throw new UsageError(`${path}: ${entry} is neither a folder of pictures nor a text file with their paths.`);
    const lines = (await readText(found, MAX_LIST_BYTES)).split(/\r?\n/).filter((line) => line.trim() !== '');
    const pictures = [];
    for (const line of lines) pictures.push(await find(line, [dirname(found), base, root]));
    return pictures;
  };
  return { root, picturesOf, check };
}

/** A picture with its labels. */
interface LabelledPicture {
  readonly path: string;
  readonly size: Size;
  readonly boxes: readonly { readonly category: number; readonly box: Box }[];
  readonly hasLabels: boolean;
  /** The number of labels that occur twice. */
  readonly doubled: number;
}

interface LabelContext extends Pick<Tree, 'check'> {
  readonly names: readonly string[];
  readonly keyPoints: YoloFile['kpt_shape'];
}

async function readPicture(
  path: string,
  context: LabelContext,
  { ignoreOrientation }: ReadDatasetOptions,
): Promise<LabelledPicture> {
  const sizes = await readPictureSizes(path).catch(() => undefined);
  const size = sizes && (ignoreOrientation ? sizes.stored : sizes.upright);
  // Whoever reads the picture meets the error; without a size there are no boxes.
  if (!size) return { path, size: { width: 0, height: 0 }, boxes: [], hasLabels: true, doubled: 0 };
  const labels = labelPath(path);
  if (!(await exists(labels))) return { path, size, boxes: [], hasLabels: false, doubled: 0 };
  const text = await readText(await context.check(labels), MAX_LABEL_BYTES);
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const seen = new Set<string>();
  const boxes = lines.flatMap((line, index) => {
    // As in Ultralytics, labels of the same numbers count once.
    const numbers = line.split(/\s+/).map(Number).join(' ');
    if (line === '' || seen.has(numbers)) return [];
    seen.add(numbers);
    return [readLabel(line, size, context, `${labels}, line ${index + 1}`)];
  });
  return { path, size, boxes, hasLabels: true, doubled: lines.filter(Boolean).length - boxes.length };
}

/** `images/` becomes `labels/` where it occurs last; without it, the labels are beside the picture. */
function labelPath(path: string): string {
  const [images, labels] = [`${sep}images${sep}`, `${sep}labels${sep}`];
  const at = path.lastIndexOf(images);
  const moved = at < 0 ? path : path.slice(0, at) + labels + path.slice(at + images.length);
  return `${moved.slice(0, moved.length - extname(moved).length)}.txt`;
}

/** A box that was made of whole pixels is whole again after rounding to a millionth of one. */
const toPixels = (fraction: number, side: number): number => Math.round(fraction * side * 1e6) / 1e6;

const fromCentre = ([x = 0, y = 0, width = 0, height = 0]: readonly number[]): Box => [
  x - width / 2,
  y - height / 2,
  width,
  height,
];

function readLabel(line: string, { width, height }: Size, { names, keyPoints }: LabelContext, where: string) {
  const values = line.split(/\s+/).map(Number);
  const [category = -1, ...numbers] = values;
  const expected = keyPoints ? 4 + keyPoints[0] * keyPoints[1] : undefined;
  const isBox = numbers.length === (expected ?? 4);
  const isPolygon = expected === undefined && numbers.length >= 6 && numbers.length % 2 === 0;
  if (!values.every(Number.isFinite) || !(isBox || isPolygon))
    throw new InputError(
      `${where}: "${line.slice(0, 60)}" is no label; a label is a class and the centre, width and height of a box, or at least three corners.`,
    );
  if (!Number.isInteger(category) || category < 0 || category >= names.length)
    throw new InputError(
      `${where}: the class ${category} is not one of the ${names.length} that are named, 0 to ${names.length - 1}.`,
    );
  const fractions = isBox ? numbers.slice(0, 4) : numbers;
  if (fractions.some((value) => value < 0 || value > 1.01))
    throw new InputError(
      `${where}: a number is not between 0 and 1; YOLO's labels are fractions of the picture's sides.`,
    );
  const [x = 0, y = 0, w = 0, h = 0] = isBox ? fromCentre(fractions) : (boxOfPolygons([fractions]) ?? []);
  const box = [toPixels(x, width), toPixels(y, height), toPixels(w, width), toPixels(h, height)] as const;
  return { category, box };
}
