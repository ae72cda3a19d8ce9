/** Reads a data set of any layout that is known. */
import { dirname, extname, join } from 'node:path';
import { checkOptions, checkPath } from '../../base/check-options.ts';
import { UsageError } from '../../base/errors.ts';
import { exists, isDirectory, missingFile, namesIn } from '../../base/files.ts';
import type { CocoDataset } from '../coco.ts';
import { cleanName } from '../phrases.ts';
import { type AnnotationCandidate, findAnnotationFiles, readCoco } from './coco-folder.ts';
import { type ReadDatasetOptions, readDatasetSchemas } from './dataset-options.ts';
import { labelFile } from './label-file.ts';
import { hasVocLayout, readVoc } from './pascal-voc.ts';
import { CLASSES_FILE, isYoloFile, readYolo } from './yolo.ts';

/**
 * Reads a data set: labels, and where the pictures are. The pictures themselves are not read, except for the sizes that
 * labels of YOLO are fractions of.
 *
 * - COCO's format: a JSON file, or a folder of pictures with the file in it, in its folder `annotations`, or as
 *   `../annotations/instances_NAME.json`; LVIS, Objects365 and the exports of Roboflow, Label Studio and CVAT are of this kind.
 * - YOLO: the `data.yaml`, or the folder that has it.
 * - Pascal VOC: the folder with `Annotations` and `JPEGImages`, or with XML files beside the pictures.
 *
 * @throws UsageError if there are no labels, or several files that could be them; InputError if labels are wrong
 * @example
 * const { images, categories } = await readDataset('coco/val2017');
 */
export async function readDataset(path: string, options: ReadDatasetOptions = {}): Promise<CocoDataset> {
  checkPath(path);
  checkOptions('readDataset', readDatasetSchemas, options);
  const asWritten = await read(path, options);
  const dataset = options.cleanNames ? withCleanNames(asWritten) : asWritten;
  if (dataset.annotations.length === 0) options.onNotice?.(`${dataset.source ?? path} has no labelled objects.`);
  return options.ignoreOrientation ? { ...dataset, ignoreOrientation: true } : dataset;
}

/** The data set with the names of its categories cleaned. */
const withCleanNames = (dataset: CocoDataset): CocoDataset => ({
  ...dataset,
  categories: dataset.categories.map((category) => ({ ...category, name: cleanName(category.name) })),
});

async function read(path: string, options: ReadDatasetOptions): Promise<CocoDataset> {
  const isFolder = await isDirectory(path);
  const { annotations } = options;
  if (annotations !== undefined) {
    if (!isFolder)
      throw new UsageError(`${path} is not a directory; beside \`annotations\`, give the folder of the pictures.`);
    return isJson(annotations)
      ? readCoco(annotations, path, withoutSplit(annotations, options))
      : readYolo(annotations, { ...options, imagesRoot: options.imagesRoot ?? path });
  }
  if (isFolder) return readFolder(path, options);
  if (!(await exists(path))) throw missingFile(path);
  if (isJson(path)) return readCoco(path, undefined, withoutSplit(path, options));
  if (isYaml(path)) return readYolo(path, options);
  throw new UsageError(
    `${path} is no data set; give a folder, a JSON file in COCO's format, or the data.yaml of a YOLO data set.`,
  );
}

const isJson = (path: string) => extname(path).toLowerCase() === '.json';
const isYaml = (path: string) => ['.yaml', '.yml'].includes(extname(path).toLowerCase());

function withoutSplit(path: string, options: ReadDatasetOptions): ReadDatasetOptions {
  if (options.split !== undefined) throw new UsageError(`${path} is one split; leave \`split\` out.`);
  return options;
}

/** A data set that a folder may mean. */
interface Candidate {
  readonly path: string;
  readonly read: () => Promise<CocoDataset>;
}

async function readFolder(folder: string, options: ReadDatasetOptions): Promise<CocoDataset> {
  const found = [...(await cocoCandidates(folder, options)), ...(await otherCandidates(folder, options))];
  const [only, ...others] = found;
  if (only && others.length === 0) return only.read();
  if (only)
    throw new UsageError(
      `${folder} has several files of labels: ${found.map(({ path }) => path).join(', ')}; choose one with \`annotations\` or, of several splits, with \`split\`.`,
    );
  // A file of this name is meant, and what is wrong with it is said when it is read.
  const damaged = join(folder, 'data.yaml');
  if (await exists(damaged)) return readYolo(await labelFile(damaged, folder), options);
  throw new UsageError(
    `${folder} has no labels that are known: no JSON file in COCO's format in it or in ${join(folder, 'annotations')} or beside it, no data.yaml of YOLO, and no XML files of Pascal VOC; name the file with \`annotations\`.`,
  );
}

async function cocoCandidates(folder: string, options: ReadDatasetOptions): Promise<Candidate[]> {
  const all = await findAnnotationFiles(folder);
  const { split, ...others } = options;
  const chosen = split === undefined ? all : all.filter((each) => each.split === split);
  if (all.length > 0 && chosen.length === 0)
    throw new UsageError(`${folder} has no split ${split}; its splits are ${splitsOf(all)}.`);
  return chosen.map(({ path }) => ({
    path,
    read: async () => readCoco(await labelFile(path, dirname(path)), folder, others),
  }));
}

const splitsOf = (candidates: readonly AnnotationCandidate[]) =>
  [...new Set(candidates.map((candidate) => candidate.split))].join(', ');

async function otherCandidates(folder: string, options: ReadDatasetOptions): Promise<Candidate[]> {
  const names = (await namesIn(folder)).sort();
  const candidates: Candidate[] = [];
  for (const path of names.filter(isYaml).map((name) => join(folder, name)))
    if (await isYoloFile(path))
      candidates.push({ path, read: async () => readYolo(await labelFile(path, folder), options) });
  if (candidates.length === 0 && names.includes('labels') && names.includes('images') && names.includes(CLASSES_FILE))
    candidates.push({ path: join(folder, CLASSES_FILE), read: () => readYolo(folder, options) });
  if (await hasVocLayout(folder)) candidates.push({ path: folder, read: () => readVoc(folder, options) });
  return candidates;
}
