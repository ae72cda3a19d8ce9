/**
 * Data sets in the layout of Pascal VOC: an XML file for each picture, in `Annotations/` beside `JPEGImages/` with lists of
 * splits in `ImageSets/Main/`, or beside the pictures. As in the VOC development kit, detectron2 and the JSON files of VOC in
 * COCO's format, pixels are counted from 1 and a box includes its last row and column: the left edge is xmin − 1 and the
 * width xmax − xmin + 1. Objects that are marked as difficult count neither as right nor as wrong, as crowds do, and are not
 * trained on.
 */
import { basename, extname, join } from 'node:path';
import { parseXml, XmlElement, XmlText } from '@rgrove/parse-xml';
import { InputError, messageOf, UsageError } from '../../base/errors.ts';
import { isDirectory, namesIn, readText } from '../../base/files.ts';
import { mapConcurrently } from '../../base/map-concurrently.ts';
import type { CocoAnnotation, CocoCategory, CocoDataset, CocoImage } from '../coco.ts';
import { isPictureName } from '../find-images.ts';
import { type Box, isPossibleBox } from '../labelled-box.ts';
import { chooseSplit } from './choose-split.ts';
import type { ReadDatasetOptions } from './dataset-options.ts';
import { labelFile } from './label-file.ts';
import { PictureFinder } from './picture-finder.ts';
import { xmlDepth } from './xml-depth.ts';

/** The largest XML file of one picture, in bytes. */
const MAX_XML_BYTES = 4 << 20;
/** An object has parts with boxes, and nothing is deeper. */
const DEEPEST_XML = 100;
const MAX_LIST_BYTES = 64 << 20;
/** XML files that are read at the same time. */
const CONCURRENT = 8;
/** The folder of the XML files in Pascal VOC's layout. */
const VOC_ANNOTATIONS = 'Annotations';

/** True if the folder has XML files of pictures, in `Annotations/` or beside pictures. */
export async function hasVocLayout(folder: string): Promise<boolean> {
  if (await isDirectory(join(folder, VOC_ANNOTATIONS)))
    return (await xmlFiles(join(folder, VOC_ANNOTATIONS))).length > 0;
  const names = await namesIn(folder);
  return names.some(isXml) && names.some(isPictureName);
}

/**
 * Reads a data set in Pascal VOC's layout. The categories are the names of all objects, of all splits, in alphabetical order.
 * @throws UsageError if a split does not exist; InputError if an XML file is malformed
 */
export async function readVoc(folder: string, options: ReadDatasetOptions): Promise<CocoDataset> {
  const isStandard = await isDirectory(join(folder, VOC_ANNOTATIONS));
  const xmlFolder = isStandard ? join(folder, VOC_ANNOTATIONS) : folder;
  const pictureFolder = options.imagesRoot ?? (isStandard ? join(folder, 'JPEGImages') : folder);
  const finder = await PictureFinder.open(pictureFolder, options.imagesRoot ?? folder);
  if (!finder)
    throw new UsageError(
      `${pictureFolder} is no folder in ${folder}; name the folder of the pictures with \`imagesRoot\`.`,
    );
  const listed = await stemsOfSplit(folder, options);
  const files = await xmlFiles(xmlFolder);
  const described = await mapConcurrently(
    files,
    async (file) => readXml(await labelFile(join(xmlFolder, file), folder)),
    {
      label: 'Reading labels',
      limit: CONCURRENT,
      onProgress: options.onProgress,
      signal: options.signal,
    },
  );
  const byStem = new Map(files.map((file, index) => [stemOf(file), described[index]]));
  const names = [...new Set(described.flatMap(({ objects }) => objects.map((object) => object.name)))].sort();
  const idOf = new Map(names.map((name, index) => [name, index + 1]));
  const stems = listed ?? [...byStem.keys()];
  const paths = new Map<number, string>();
  const images: CocoImage[] = [];
  const annotations: CocoAnnotation[] = [];
  for (const [index, stem] of stems.entries()) {
    const xml = byStem.get(stem);
    if (!xml)
      throw new InputError(
        `${folder}: ${stem} is listed in the split, but ${join(xmlFolder, `${stem}.xml`)} does not exist.`,
      );
    const id = index + 1;
    const { path, name } = await findPicture(finder, stem, xml.fileName);
    paths.set(id, path);
    images.push({ id, file_name: name, width: xml.width, height: xml.height });
    for (const { name: category, box, isDifficult } of xml.objects)
      annotations.push({
        id: annotations.length + 1,
        image_id: id,
        category_id: idOf.get(category) ?? 0, // every name has a number
        bbox: box,
        area: box[2] * box[3],
        iscrowd: isDifficult ? 1 : 0,
      });
  }
  const difficult = annotations.filter(({ iscrowd }) => iscrowd === 1).length;
  if (difficult > 0)
    options.onNotice?.(
      `${folder}: ${difficult} objects are marked as difficult; they count neither as right nor as wrong, and are not trained on.`,
    );
  return {
    images,
    annotations,
    categories: names.map((name, index): CocoCategory => ({ id: index + 1, name })),
    pathOf: (image) => paths.get(image.id) ?? join(pictureFolder, image.file_name),
    source: folder,
  };
}

const isXml = (name: string) => extname(name).toLowerCase() === '.xml';
const stemOf = (name: string) => basename(name, extname(name));

async function xmlFiles(folder: string): Promise<string[]> {
  return (await namesIn(folder)).filter(isXml).sort();
}

/** The names without ending of the pictures of a split; undefined if the data set has no splits. */
async function stemsOfSplit(folder: string, options: ReadDatasetOptions): Promise<string[] | undefined> {
  const lists = join(folder, 'ImageSets', 'Main');
  // Files such as car_train.txt list the pictures of one class, with 1 or -1 behind each.
  const names = (await isDirectory(lists))
    ? (await namesIn(lists)).filter((name) => name.endsWith('.txt') && !name.includes('_')).map(stemOf)
    : [];
  if (names.length === 0) {
    if (options.split !== undefined)
      throw new UsageError(`${folder} has no lists of splits in ImageSets/Main; leave \`split\` out.`);
    return undefined;
  }
  const path = await labelFile(join(lists, `${chooseSplit(names.sort(), options, folder)}.txt`), folder);
  const lines = (await readText(path, MAX_LIST_BYTES)).split(/\r?\n/);
  const stems = lines.flatMap((line) => line.trim().split(/\s+/)[0] || []);
  const seen = new Set<string>();
  const doubled = stems.find((stem) => seen.size === seen.add(stem).size);
  if (doubled !== undefined) throw new InputError(`${path} lists ${doubled} twice; list each picture once.`);
  return stems;
}

/** The picture of the name of the XML file, with any ending; otherwise the one that the XML file names. */
async function findPicture(finder: PictureFinder, stem: string, fileName: string) {
  const own = extname(fileName);
  for (const name of [`${stem}${own || '.jpg'}`, ...ENDINGS.map((ending) => stem + ending), fileName]) {
    const found = await finder.find(name);
    if (found.state === 'outside') throw finder.refusal(name);
    if (found.state === 'found') return { path: found.path, name };
  }
  const name = `${stem}${own || '.jpg'}`;
  return { path: finder.missingPath(name), name };
}

const ENDINGS = ['.jpg', '.jpeg', '.png', '.webp', '.bmp', '.tif', '.tiff', '.gif'];

/** The content of an XML file. */
interface Described {
  readonly fileName: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly { readonly name: string; readonly box: Box; readonly isDifficult: boolean }[];
}

async function readXml(path: string): Promise<Described> {
  const text = await readText(path, MAX_XML_BYTES);
  if (xmlDepth(text) > DEEPEST_XML)
    throw new InputError(`${path} is not valid XML of Pascal VOC (its elements are nested too deep).`);
  let root: XmlElement | null;
  try {
    // The parser knows no entities but the five of XML itself, so that none can expand.
    root = parseXml(text).root;
  } catch (error) {
    throw new InputError(`${path} is not valid XML (${messageOf(error)}).`);
  }
  if (root?.name !== 'annotation')
    throw new InputError(`${path} is no annotation of Pascal VOC: its root is not <annotation>.`);
  const size = child(root, 'size');
  const side = (name: string) => {
    const value = Number(textOf(size, name));
    return isPossibleBox([value]) && value > 0 ? value : 0;
  };
  const objects = children(root, 'object').map((object, index) => {
    const name = textOf(object, 'name');
    if (name === '') throw new InputError(`${path}: the object ${index + 1} has no name.`);
    const corners = child(object, 'bndbox');
    const [left, top, right, bottom] = ['xmin', 'ymin', 'xmax', 'ymax'].map((edge) => {
      const written = textOf(corners, edge);
      const value = written === '' ? Number.NaN : Number(written);
      if (!isPossibleBox([value]))
        throw new InputError(`${path}: the object ${index + 1}, ${name}, has no number ${edge}, or an impossible one.`);
      return value;
    }) as [number, number, number, number]; // one for each edge
    if (right < left || bottom < top)
      throw new InputError(`${path}: the object ${index + 1}, ${name}, ends before it begins; correct its corners.`);
    const box: Box = [left - 1, top - 1, right - left + 1, bottom - top + 1];
    return { name, box, isDifficult: textOf(object, 'difficult') === '1' };
  });
  return { fileName: textOf(root, 'filename'), width: side('width'), height: side('height'), objects };
}

const children = (element: XmlElement | undefined, name: string): XmlElement[] =>
  (element?.children ?? []).filter((each): each is XmlElement => each instanceof XmlElement && each.name === name);

const child = (element: XmlElement | undefined, name: string): XmlElement | undefined => children(element, name)[0];

/** The text that stands in an element itself. That of the elements in it, which may be any number in each other, is none of it. */
const textOf = (element: XmlElement | undefined, name: string): string =>
  (child(element, name)?.children ?? [])
    .map((each) => (each instanceof XmlText ? each.text : ''))
    .join('')
    .trim();
