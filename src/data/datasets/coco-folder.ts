/**
 * Where data sets in COCO's format have their annotations and their pictures: as COCO, Roboflow, Label Studio, CVAT, LVIS,
 * ODinW and Objects365 lay them out.
 */
import { basename, dirname, extname, join, resolve } from 'node:path';
import { InputError, UsageError } from '../../base/errors.ts';
import { entriesOf, exists, isDirectory, namesIn } from '../../base/files.ts';
import type { CocoAnnotations, CocoDataset, CocoImage } from '../coco.ts';
import { readAnnotations } from './coco-json.ts';
import type { ReadDatasetOptions } from './dataset-options.ts';
import { type Finding, isWithin, PictureFinder } from './picture-finder.ts';

/** Annotations of COCO that are not of boxes. */
const OTHER_TASKS = /^(?:captions|person_keypoints|stuff|panoptic|image_info)_/;
/** Names of annotation files in the subfolders of the splits, of Roboflow and of ODinW. */
const IN_SPLITS = /^(?:_annotations\.coco|annotations_without_background)\.json$/;
/** The number of subfolders in which annotations are looked for. */
const MAX_SUBFOLDERS = 1000;

/** An annotation file that was found. */
export interface AnnotationCandidate {
  readonly path: string;
  /** The split that the file is of, by its name or by that of its folder. */
  readonly split: string;
}

/**
 * The annotation files that a folder may mean: those of its name in `../annotations`, those in it or in its folder
 * `annotations`, or, if there are none, those of the splits in its subfolders.
 */
export async function findAnnotationFiles(folder: string): Promise<AnnotationCandidate[]> {
  const full = resolve(folder);
  const named = [`instances_${basename(full)}.json`, `${basename(full)}.json`];
  const beside = named.map((name) => join(dirname(full), 'annotations', name));
  const candidates = [];
  for (const path of beside) if (await exists(path)) candidates.push({ path, split: basename(full) });
  for (const place of [folder, join(folder, 'annotations')])
    for (const name of await jsonFiles(place)) candidates.push({ path: join(place, name), split: splitOf(name) });
  if (candidates.length > 0) return candidates;
  const entries = await entriesOf(folder);
  const subfolders = entries.filter((entry) => entry.isDirectory()).slice(0, MAX_SUBFOLDERS);
  for (const { name } of subfolders)
    for (const file of await jsonFiles(join(folder, name)))
      if (IN_SPLITS.test(file)) candidates.push({ path: join(folder, name, file), split: name });
  return candidates;
}

/** `val2017` of `instances_val2017.json`. */
const splitOf = (name: string) => basename(name, extname(name)).replace(/^instances_/, '');

async function jsonFiles(folder: string): Promise<string[]> {
  if (!(await isDirectory(folder))) return [];
  const names = (await namesIn(folder)).filter((name) => extname(name).toLowerCase() === '.json');
  return names.filter((name) => !OTHER_TASKS.test(name)).sort();
}

/**
 * Reads a data set by its annotation file. The folder of the pictures is the given one; otherwise it is the first of the
 * usual places in which all pictures are found.
 * @param folder the folder that the caller named, if it is not the file that was named
 * @throws InputError if two names of the annotations find the same picture
 */
export async function readCoco(
  path: string,
  folder: string | undefined,
  options: ReadDatasetOptions,
): Promise<CocoDataset> {
  const annotations = await readAnnotations(path, {
    onNotice: options.onNotice,
    onProgress: options.onProgress,
    signal: options.signal,
  });
  const { finder, found } = await findPictures(path, folder, annotations, options);
  const paths = new Map<number, string>();
  const refused = new Set<number>();
  const nameOf = new Map<string, string>();
  const shortened: string[] = [];
  for (const [index, { id, file_name }] of annotations.images.entries()) {
    const finding: Finding = found[index] ?? { state: 'missing' };
    if (finding.state === 'outside') refused.add(id);
    if (finding.state !== 'found') continue;
    if (finding.isShortened) shortened.push(file_name);
    const other = nameOf.get(finding.path) ?? file_name;
    if (other !== file_name)
      throw new InputError(
        `${path}: the names ${other} and ${file_name} both find ${finding.path}, because their folders are not in ${finder.root}; name the folder that has them with \`imagesRoot\`.`,
      );
    nameOf.set(finding.path, file_name);
    paths.set(id, finding.path);
  }
  if (shortened[0] !== undefined)
    options.onNotice?.(
      `${path}: the folders in ${shortened.length} file names, such as ${shortened[0]}, are not in ${finder.root}; the pictures were found by the rest of the names.`,
    );
  if (annotations.images.some(({ neg_category_ids: negative }) => negative))
    options.onNotice?.(
      `${path} is a federated data set, as LVIS is; COCO's figures take categories of which nothing is known in an image as absent.`,
    );
  const pathOf = ({ id, file_name }: CocoImage) => {
    if (refused.has(id)) throw finder.refusal(file_name);
    return paths.get(id) ?? finder.missingPath(file_name);
  };
  return { ...annotations, pathOf, source: path };
}

interface FoundPictures {
  readonly finder: PictureFinder;
  /** The result of looking for the picture of each image by its name. */
  readonly found: readonly Finding[];
}

async function findPictures(
  path: string,
  folder: string | undefined,
  { images }: CocoAnnotations,
  { imagesRoot, signal }: ReadDatasetOptions,
): Promise<FoundPictures> {
  let best: (FoundPictures & { readonly missing: number }) | undefined;
  for (const [root, limit] of imagesRoot === undefined
    ? usualRoots(path, folder)
    : [[imagesRoot, imagesRoot] as const]) {
    const finder = await PictureFinder.open(root, limit);
    if (!finder) continue;
    const found: Finding[] = [];
    for (const { file_name } of images) {
      signal?.throwIfAborted();
      found.push(await finder.find(file_name));
    }
    const missing = found.filter(({ state }) => state !== 'found').length;
    if (!best || missing < best.missing) best = { finder, found, missing };
    if (missing === 0) break;
  }
  if (best) return best;
  throw new UsageError(`${imagesRoot ?? dirname(path)} is no folder; name that of the pictures with \`imagesRoot\`.`);
}

/** The folders that may have the pictures, each with the folder that its real path must not leave. */
function usualRoots(path: string, folder: string | undefined): (readonly [root: string, limit: string])[] {
  const place = dirname(path);
  const base = /^annotations?$/i.test(basename(resolve(place))) ? dirname(resolve(place)) : place;
  const split = splitOf(path);
  const usual = [join(base, split), join(base, 'images', split), join(base, 'images'), base, place];
  if (folder === undefined) return usual.map((root) => [root, base] as const);
  // The caller has named the folder, so that nothing outside of it is meant.
  const within = usual.filter((root) => isWithin(resolve(root), resolve(folder)));
  return [folder, ...within].map((root) => [root, folder] as const);
}
