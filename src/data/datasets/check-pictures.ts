/** Checks before long work begins that the pictures of a data set are there, can be read, and are those of the labels. */
import { abortSignal, callback, checkOptions, type OptionSchemas, optional, truth } from '../../base/check-options.ts';
import { InputError, isOutOfMemory, messageOf } from '../../base/errors.ts';
import { exists, isDirectory } from '../../base/files.ts';
import { mapConcurrently } from '../../base/map-concurrently.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { type CocoDataset, type CocoImage, checkDatasetArgument, keepImages } from '../coco.ts';
import { type PictureSizes, type ReadImageOptions, readImage, readPictureSizes } from '../image.ts';
import { maxPixelsSchema, type PixelLimitOptions } from '../pixel-limit.ts';
import { clippedNotice } from '../rgb-image.ts';
import type { Size } from '../size.ts';
import { type LeaveOutOptions, leaveOut, listSome } from './leave-out.ts';

/** Options of `checkPictures`. */
export interface CheckOptions extends WorkOptions, LeaveOutOptions, PixelLimitOptions {}

const checkSchemas: OptionSchemas<CheckOptions> = {
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
  skipUnreadable: optional(truth),
  onLeftOut: optional(callback),
  maxPixels: maxPixelsSchema,
};

/** Pictures that are looked at at the same time. */
const CONCURRENT = 8;

/**
 * Checks that all pictures of a data set exist.
 * @returns the data set, without the missing ones if `skipUnreadable` is set
 * @throws InputError, which counts the missing ones and names the first, if `skipUnreadable` is not set
 */
export async function checkExistence(dataset: CocoDataset, options: CheckOptions = {}): Promise<CocoDataset> {
  const work = { signal: options.signal, label: 'Looking for pictures', limit: CONCURRENT };
  const found = await mapConcurrently(dataset.images, (image) => isThere(dataset.pathOf(image)), work);
  const missing = dataset.images.filter((_, index) => !found[index]);
  if (missing.length === 0) return dataset;
  const counted = `${missing.length} of ${dataset.images.length} pictures of ${dataset.source ?? 'the data set'} do not exist: ${listSome(missing.map(dataset.pathOf))}`;
  if (!options.skipUnreadable)
    throw new InputError(
      `${counted}; add them, name their folder with \`imagesRoot\`, or leave them out with \`skipUnreadable\`.`,
    );
  options.onNotice?.(`${counted}; left out.`);
  return notEmpty(
    keepImages(
      dataset,
      dataset.images.filter((_, index) => found[index]),
    ),
    dataset.images.length,
  );
}

/**
 * Reads every picture of a data set once, and compares its size with the one that the labels state.
 * @returns the data set without pictures that cannot be read, with the sizes of the pictures
 * @throws InputError if pictures do not exist, or if one cannot be read and neither `skipUnreadable` nor `onLeftOut` is set
 * @example
 * const dataset = await checkPictures(await readDataset('coco/val2017'), { skipUnreadable: true });
 */
export async function checkPictures(dataset: CocoDataset, options: CheckOptions = {}): Promise<CocoDataset> {
  checkDatasetArgument(dataset);
  checkOptions('checkPictures', checkSchemas, options);
  const existing = await checkExistence(dataset, options);
  const { images, ignoreOrientation } = existing;
  const examined = await examineAll(images.map(existing.pathOf), { ...options, ignoreOrientation });
  const read = images.flatMap((image, index) => {
    const sizes = examined[index];
    return sizes ? [{ image, sizes }] : [];
  });
  compareSizes(existing, read, options.onNotice);
  const taken = ignoreOrientation ? 'stored' : 'upright';
  return notEmpty(
    keepImages(
      existing,
      read.map(({ image, sizes }) => ({ ...image, ...sizes[taken] })),
    ),
    dataset.images.length,
  );
}

/**
 * Tells which of some pictures can be read.
 * @returns the paths of those that can
 * @throws InputError if one cannot be read and neither `skipUnreadable` nor `onLeftOut` is set
 */
export async function readablePaths(
  paths: readonly string[],
  options: CheckOptions & ReadImageOptions,
): Promise<ReadonlySet<string>> {
  const examined = await examineAll(paths, options);
  return new Set(paths.filter((_, index) => examined[index]));
}

/** The sizes of the pictures in their order, undefined for those that cannot be read, which are left out or an error. */
async function examineAll(
  paths: readonly string[],
  { ignoreOrientation, maxPixels, ...options }: CheckOptions & ReadImageOptions,
): Promise<(PictureSizes | undefined)[]> {
  const work = { ...options, label: 'Checking pictures', limit: CONCURRENT };
  const examined = await mapConcurrently(paths, (path) => examine(path, { ignoreOrientation, maxPixels }), work);
  const unreadable = examined.flatMap((each) => (typeof each === 'string' ? [each] : []));
  leaveOut(unreadable, 'pictures', options);
  const clipped = paths.filter((_, index) => {
    const each = examined[index];
    return typeof each === 'object' && each.isClipped;
  });
  if (clipped.length > 0) options.onNotice?.(clippedNotice(listSome(clipped)));
  return examined.map((each) => (typeof each === 'string' ? undefined : each));
}

const isThere = async (path: string): Promise<boolean> => (await exists(path)) && !(await isDirectory(path));

/** The data set, if any of its `listed` images is left. */
function notEmpty(dataset: CocoDataset, listed: number): CocoDataset {
  if (dataset.images.length > 0) return dataset;
  const name = dataset.source ?? 'the data set';
  throw new InputError(
    listed === 0
      ? `${name} has no images; check that it is the file of the labels.`
      : `None of the pictures of ${name} can be read.`,
  );
}

/** The properties of a decoded picture. */
interface Examined extends PictureSizes {
  readonly isClipped: boolean | undefined;
}

/** The sizes of a picture that can be decoded, or the reason why it cannot, without a period. */
async function examine(path: string, options: ReadImageOptions): Promise<Examined | string> {
  try {
    const sizes = await readPictureSizes(path);
    const { isClipped } = await readImage(path, options);
    return { ...sizes, isClipped };
  } catch (error) {
    if (isOutOfMemory(error)) throw error;
    return messageOf(error).replace(/\.$/, '');
  }
}

interface ReadPicture {
  readonly image: CocoImage;
  readonly sizes: PictureSizes;
}

/** Tells how many pictures have another size than the labels state, and whether the EXIF orientation is the reason. */
function compareSizes(dataset: CocoDataset, read: readonly ReadPicture[], onNotice: LeaveOutOptions['onNotice']): void {
  const isSame = (a: Size, b: Size) => a.width === b.width && a.height === b.height;
  const { ignoreOrientation = false } = dataset;
  const [taken, other] = ignoreOrientation ? (['stored', 'upright'] as const) : (['upright', 'stored'] as const);
  const different = read.filter(
    ({ image, sizes }) => image.width > 0 && image.height > 0 && !isSame(image, sizes[taken]),
  );
  const turned = different.filter(({ image, sizes }) => isSame(image, sizes[other]));
  const names = (some: readonly ReadPicture[]) => listSome(some.map(({ image }) => image.file_name));
  if (turned.length > 0)
    onNotice?.(
      ignoreOrientation
        ? `${turned.length} of ${read.length} pictures have the size that the labels state only if their EXIF orientation is applied, so that their boxes are wrong without; leave \`ignoreOrientation\` out: ${names(turned)}.`
        : `${turned.length} of ${read.length} pictures have the size that the labels state only without the rotation of their EXIF orientation: the labels were made on the unrotated pictures, so that their boxes are wrong; \`ignoreOrientation\` takes the pictures so: ${names(turned)}.`,
    );
  const others = different.filter((each) => !turned.includes(each));
  if (others.length > 0)
    onNotice?.(
      `${others.length} of ${read.length} pictures have another size than the labels state, so that their boxes may be wrong: ${names(others)}.`,
    );
}
