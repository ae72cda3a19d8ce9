/**
 * Calibration plans: a random choice of images, each with a prompt of its own, so that the length of the text varies as it
 * does in use. The same seed gives the same plan on every machine.
 */

import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import { checkValue, objectWith, wholeNumber } from '../base/check-options.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { hashJson } from '../base/hash-json.ts';
import { type CocoDataset, checkDatasetArgument, phraseCategories } from './coco.ts';
import { shuffle } from './shuffle.ts';

/** An image of a plan with its prompt. */
export interface CalibrationItem {
  /** The position in the plan, from 0. */
  readonly place: number;
  /** The path of the image. */
  readonly path: string;
  /** The phrases of the prompt: the categories in the image and random others, in random order; at least one. */
  readonly phrases: readonly string[];
}

/** Images with prompts, in order. */
export interface CalibrationPlan {
  /** The images with their prompts. */
  readonly items: readonly CalibrationItem[];
  /** The identity of the plan: plans with the same key have the same file names and prompts. */
  readonly key: string;
  /** True if pictures are taken as they are stored, without the rotation that their EXIF orientation asks for. */
  readonly ignoreOrientation?: boolean | undefined;
}

/**
 * Plans a calibration on random images.
 * @param images the number of images
 * @param seed the seed of the choice of images and prompts
 * @throws InputError if the data set has no images or no categories, and UsageError if it has fewer images than `images`
 * @example
 * const plan = planCalibration(await readDataset('coco/val2017'), 64, 0);
 */
export function planCalibration(dataset: CocoDataset, images: number, seed: number): CalibrationPlan {
  checkDatasetArgument(dataset);
  checkValue('`images`', wholeNumber(1), images);
  checkValue('`seed`', wholeNumber(0), seed);
  const categories = phraseCategories(dataset);
  if (dataset.images.length === 0 || categories.length === 0)
    throw new InputError('There was nothing to calibrate on: the dataset has no images or no categories.');
  if (images > dataset.images.length)
    throw new UsageError(
      `${images} images were asked for and the dataset has ${dataset.images.length}; ask for at most as many.`,
    );
  const random = xoroshiro128plus(seed);
  const below = (limit: number) => uniformInt(random, 0, limit - 1);
  const nameOf = new Map(categories.map(({ id, name }) => [id, name]));
  const present = new Map<number, Set<number>>();
  for (const { image_id, category_id } of dataset.annotations)
    if (nameOf.has(category_id)) present.set(image_id, (present.get(image_id) ?? new Set()).add(category_id));
  const chosen = shuffle(dataset.images, below).slice(0, images);
  const items = chosen.map((image, place): CalibrationItem => {
    const own = [...(present.get(image.id) ?? [])];
    const others = shuffle(
      categories.map(({ id }) => id).filter((id) => !own.includes(id)),
      below,
    );
    const number = below(others.length + 1);
    const prompt = shuffle([...own, ...others.slice(0, Math.max(number, own.length === 0 ? 1 : 0))], below);
    return { place, path: dataset.pathOf(image), phrases: prompt.map((id) => nameOf.get(id) ?? '') };
  });
  const described = items.map(({ phrases }, place) => [chosen[place]?.file_name, ...phrases]);
  return { items, ...keyOf(described, dataset) };
}

/**
 * Returns a plan of all images in their order. The prompt of each has all categories, as in COCO's protocol.
 * @example
 * const samples = calibrationSamples(source, everyImage(dataset));
 */
export function everyImage(dataset: CocoDataset): CalibrationPlan {
  checkDatasetArgument(dataset);
  const phrases = phraseCategories(dataset)
    .toSorted((a, b) => a.id - b.id)
    .map(({ name }) => name);
  const items = dataset.images.map((image, place) => ({ place, path: dataset.pathOf(image), phrases }));
  return { items, ...keyOf([phrases, dataset.images.map((image) => image.file_name)], dataset) };
}

/** The identity of a plan that is described by a JSON value. */
function keyOf(described: unknown, { ignoreOrientation }: CocoDataset): Omit<CalibrationPlan, 'items'> {
  return ignoreOrientation
    ? { key: hashJson([described, { ignoreOrientation }]), ignoreOrientation }
    : { key: hashJson(described) };
}

/**
 * Returns the items of one shard, which takes every `count`-th item of a plan.
 * @param index the number of the shard, from 1
 * @param count the number of shards
 * @example
 * const items = shardOf(planCalibration(dataset, 500, 0), 1, 4); // the first of four machines
 */
export function shardOf(plan: CalibrationPlan, index: number, count: number): CalibrationItem[] {
  checkValue('The plan', objectWith('what `planCalibration` or `everyImage` returned', 'items', 'key'), plan);
  checkValue('`count`', wholeNumber(1), count);
  checkValue('`index`', wholeNumber(1, count), index);
  const { items } = plan;
  return items.filter(({ place }) => place % count === index - 1);
}
