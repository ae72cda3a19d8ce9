/** The inputs that a model is run on: images with prompts for a detector, arrays or pictures for any other model. */
import type { Defaults } from '../base/defaults.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { isDirectory } from '../base/files.ts';
import { type CalibrationPlan, everyImage, planCalibration } from '../data/calibration-plan.ts';
import type { CocoDataset } from '../data/coco.ts';
import { checkExistence, readablePaths } from '../data/datasets/check-pictures.ts';
import { picturesOnly } from '../data/datasets/pictures-only.ts';
import { findImages } from '../data/find-images.ts';
import { listPhrases, type Phrases } from '../data/phrases.ts';
import { calibrationSamples, type FeedOptions } from '../detect/calibration-feeds.ts';
import { checkPhrases, type PromptSource } from '../detect/check-phrases.ts';
import type { LoadedModel } from '../models/family.ts';
import { type ImageSampleOptions, imageSamples } from '../models/generic/image-samples.ts';
import { findTensorFiles, isTensorFile, tensorSamples } from '../models/generic/tensor-samples.ts';
import { asPackage, isPackage } from '../models/package/package.ts';
import type { SampleSource } from '../quant/observe/sample.ts';
import { withContents } from './plan-contents.ts';
import {
  type DatasetFiles,
  type DatasetOptions,
  inTermsOf,
  type OpenOptions,
  type OtherDataset,
  openDataset,
  readSource,
} from './sources.ts';

/**
 * Where inputs come from: a data set, by its path or as an object, for a detector; the path of a
 * `.npz`, `.safetensors` or `.npy` file, of a folder of them, or of a folder of pictures, for any other model; or samples.
 */
export type InputSource = string | DatasetFiles | CocoDataset | SampleSource;

/** How pictures become the input of a model that is no detector of dino8. Each setting that is left out has its default. */
export interface PictureOptions
  extends Omit<ImageSampleOptions, 'scale' | 'layout' | 'channels'>,
    Partial<Pick<ImageSampleOptions, 'scale' | 'layout' | 'channels'>> {}

/** The defaults of `PictureOptions`. */
export const PICTURE_DEFAULTS: Defaults<PictureOptions, 'scale' | 'layout' | 'channels'> = {
  scale: 1 / 255,
  layout: 'nchw',
  channels: 'rgb',
};

/** Which of the inputs are used. */
export interface InputChoice extends DatasetOptions {
  /** The number of inputs: chosen at random from a data set, the first ones of files; all by default. */
  readonly count?: number | undefined;
  /** True if fewer inputs than `count` are an error. */
  readonly isExact?: boolean | undefined;
  /** The seed of the random choice; 0 by default. */
  readonly seed?: number | undefined;
  /** How pictures become the input, for a model that is no detector of dino8. */
  readonly pictures?: PictureOptions | undefined;
  /** Phrases in place of labels: the data set is then the pictures of the path. */
  readonly phrases?: Phrases | undefined;
  /** Leaves pictures that cannot be read in the plan, for a caller that meets and counts them itself. */
  readonly keepUnreadable?: boolean | undefined;
  /** The option that names the inputs, where they are not those of the step itself. */
  readonly of?: OtherDataset | undefined;
}

/**
 * The inputs for a calibration: of a data set, random images with prompts of their own.
 *
 * @throws UsageError if the inputs do not fit the kind of model, or if there are none
 */
export async function openInputs(
  loaded: LoadedModel,
  inputs: InputSource,
  { count, isExact = false, seed = 0, pictures, phrases, keepUnreadable = false, ...options }: InputChoice = {},
): Promise<CalibrationPlan | SampleSource> {
  refuseUnusedPictures(loaded, inputs, pictures);
  if (phrases && (isSampleSource(inputs) || !isPackage(loaded)))
    throw new UsageError('`phrases` are for pictures and a detector of dino8; leave them out.');
  if (isSampleSource(inputs) || !isPackage(loaded))
    return first(isSampleSource(inputs) ? inputs : await openFiles(loaded, inputs, pictures), count, isExact);
  const existing = await inTermsOf(options, async (worded) => {
    const read = phrases
      ? await picturesWithPhrases(inputs, phrases)
      : await readSource(inputs, { purpose: 'training', ...options });
    return checkExistence(read, worded);
  });
  const dataset = checkPhrases(loaded, existing, options);
  const { length } = dataset.images;
  const number = isExact ? (count ?? length) : Math.min(count ?? length, length);
  const plan = await withContents(planCalibration(dataset, number, seed), options);
  return keepUnreadable ? plan : withoutUnreadable(plan, options);
}

/** @throws UsageError if settings of pictures are stated for a detector, which carries its own, or for samples */
export function refuseUnusedPictures(
  loaded: LoadedModel,
  inputs: InputSource | undefined,
  pictures: PictureOptions | undefined,
): void {
  if (!pictures) return;
  if (isPackage(loaded))
    throw new UsageError(`${loaded.source} carries the preprocessing of its images; do not state another.`);
  if (inputs === undefined) throw new UsageError('`pictures` has no effect without a picture; leave it out.');
  if (isSampleSource(inputs)) throw new UsageError('`pictures` has no effect on samples; leave it out.');
}

async function picturesWithPhrases(inputs: string | DatasetFiles | CocoDataset, phrases: Phrases) {
  const { path, ignoreOrientation, ...others } = typeof inputs === 'string' ? { path: inputs } : filesOf(inputs);
  const unused = Object.entries(others).find(([, value]) => value !== undefined);
  if (unused)
    throw new UsageError(`\`${unused[0]}\` is for labels; with \`phrases\` no labels are read, so leave it out.`);
  const names = listPhrases(phrases).map(({ name }) => name);
  return { ...(await picturesOnly(path, names)), ignoreOrientation };
}

function filesOf(inputs: DatasetFiles | CocoDataset): DatasetFiles {
  if ('path' in inputs) return inputs;
  throw new UsageError('`phrases` are for pictures without labels; a data set has categories, so leave them out.');
}

/** The plan without the pictures that cannot be read. */
async function withoutUnreadable(plan: CalibrationPlan, options: DatasetOptions): Promise<CalibrationPlan> {
  const { ignoreOrientation } = plan;
  const paths = plan.items.map(({ path }) => path);
  const readable = await readablePaths(paths, { ...options, ignoreOrientation });
  if (readable.size === new Set(paths).size) return plan;
  const items = plan.items.filter(({ path }) => readable.has(path)).map((item, place) => ({ ...item, place }));
  if (items.length === 0) throw new InputError('None of the pictures to calibrate on can be read.');
  return { ...plan, items, key: `${plan.key}, ${items.length} readable` };
}

/** A data set for a detector: its pictures are checked, and so are its categories as phrases of the model. */
export async function openLabelled(
  loaded: PromptSource,
  source: string | DatasetFiles | CocoDataset,
  options: OpenOptions = {},
): Promise<CocoDataset> {
  return checkPhrases(loaded, await openDataset(source, options), options);
}

/** Inputs to judge a model by, and the labelled images that they are made of. */
export interface LabelledInputs {
  /** The labelled images; undefined for a model that is no detector of dino8, and for samples. */
  readonly dataset: CocoDataset | undefined;
  readonly samples: SampleSource;
}

/** The inputs for a comparison: of a data set, the first images, with all categories as the prompt. */
export async function openLabelledInputs(
  loaded: LoadedModel,
  inputs: InputSource,
  { count, pictures, ...options }: InputChoice = {},
): Promise<LabelledInputs> {
  if (isSampleSource(inputs) || !isPackage(loaded))
    return { dataset: undefined, samples: samplesOf(loaded, await openInputs(loaded, inputs, { count, pictures })) };
  refuseUnusedPictures(loaded, inputs, pictures);
  const dataset = await openLabelled(loaded, inputs, { ...options, images: count });
  return { dataset, samples: calibrationSamples(loaded, await withContents(everyImage(dataset), options)) };
}

/** The samples of a plan, which needs a detector, or the samples themselves. */
export function samplesOf(
  loaded: LoadedModel,
  inputs: CalibrationPlan | SampleSource,
  options: FeedOptions = {},
): SampleSource {
  return isSampleSource(inputs) ? inputs : calibrationSamples(asPackage(loaded), inputs, options);
}

/** True for samples, as opposed to a path or a data set. */
const isSampleSource = (inputs: InputSource | CalibrationPlan): inputs is SampleSource =>
  typeof inputs !== 'string' && 'samples' in inputs;

/** The first `count` samples of a source. */
function first(source: SampleSource, count = Number.POSITIVE_INFINITY, isExact = false): SampleSource {
  if (isExact && count > source.total)
    throw new UsageError(`${count} inputs were asked for and there are ${source.total}; ask for at most as many.`);
  if (count >= source.total) return source;
  return {
    total: count,
    key: `${source.key}, first ${count}`,
    samples: (accept = () => true) => source.samples((place) => place < count && accept(place)),
  };
}

async function openFiles(
  loaded: LoadedModel,
  inputs: string | DatasetFiles | CocoDataset,
  pictures: PictureOptions | undefined,
): Promise<SampleSource> {
  if (typeof inputs !== 'string')
    throw new UsageError(
      `${loaded.source} is no detector of dino8; give its inputs as files of arrays or as pictures.`,
    );
  if (pictures) return imageSamples(loaded.model, await findImages([inputs]), { ...PICTURE_DEFAULTS, ...pictures });
  if (isTensorFile(inputs) || (await isDirectory(inputs)))
    return tensorSamples(loaded.model, await findTensorFiles(inputs));
  throw new UsageError(
    `${inputs} is no file of arrays; give a .npz, .safetensors or .npy file or a folder of them, or state \`mean\` and \`std\` for pictures.`,
  );
}
