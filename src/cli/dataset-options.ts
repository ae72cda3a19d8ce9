/** The options that say what a data set is, which are the same in every command that takes one. */
import { Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import type { DatasetFiles } from '../pipeline/sources.ts';
import { leftOut } from './left-out.ts';
import { maxPixelsOption } from './max-pixels-option.ts';
import { notice } from './notices.ts';
import { optionGroup } from './option-group.ts';

/** The words for a checkpoint, which are the same in every command that trains or compresses one. */
export const CHECKPOINT_ARGUMENT =
  'a Hugging Face folder, or one file of weights of any name with the tokenizer beside it';

/** The words for a data set, which are the same in every command. */
export const DATASET_ARGUMENT =
  "a data set: a folder of images with annotations in COCO's format, or that JSON file; the data.yaml of a YOLO data set; or a folder in Pascal VOC's layout. Its categories are the phrases of the prompt";

/** `--annotations` */
const annotationsOption = () =>
  new Option(
    '--annotations <file>',
    "the labels of the data set, a JSON file in COCO's format or a data.yaml, where the folder does not tell them",
  );

/** `--images-root` */
const imagesRootOption = () =>
  new Option(
    '--images-root <folder>',
    'the folder below which the pictures of the data set are (default: found by the layout)',
  );

/** `--split` */
const splitOption = () =>
  new Option(
    '--split <name>',
    'the split of a data set that has several, such as train, val or test (default: train to train or calibrate on, and val to score on)',
  );

/** `--ignore-orientation` */
const ignoreOrientationOption = () =>
  new Option(
    '--ignore-orientation',
    'take pictures as they are stored, without the rotation of their EXIF orientation, for labels that were made so',
  );

/** `--clean-names` */
const cleanNamesOption = () =>
  new Option(
    '--clean-names',
    'take the names of categories without brackets and underscores, such as "crow" for crow_(bird), as those of LVIS need',
  );

/** `--skip-unreadable` */
const skipUnreadableOption = () =>
  new Option(
    '--skip-unreadable',
    'leave out pictures that are missing or cannot be read and categories that are no phrases, with the exit code 0',
  );

const readingOptions = () => [ignoreOrientationOption(), cleanNamesOption(), skipUnreadableOption(), maxPixelsOption()];

/** The heading in the help under which the options of data sets stand that other options name. */
const OTHER_DATASETS = 'Data sets that options name:';

/** The options that say what the data set is that `--NAME` names. `usual` is its split if none is named. */
const otherDatasetOptions = (name: string, usual: string) => [
  new Option(
    `--${name}-annotations <file>`,
    `the labels of the data set of --${name}, where the folder does not tell them`,
  ).helpGroup(OTHER_DATASETS),
  new Option(
    `--${name}-images-root <folder>`,
    `the folder below which the pictures of --${name} are (default: found by the layout)`,
  ).helpGroup(OTHER_DATASETS),
  new Option(
    `--${name}-split <name>`,
    `the split of the data set of --${name}, if it has several (default: ${usual})`,
  ).helpGroup(OTHER_DATASETS),
];

/** The values of the options that say what files a data set has: a type, since the types of several helpers are put together. */
export type LabelValues = {
  readonly annotations?: string | undefined;
  readonly imagesRoot?: string | undefined;
  readonly split?: string | undefined;
  readonly ignoreOrientation?: true | undefined;
};

/** The values of the options for a data set. */
export type DatasetValues = LabelValues & ReadingValues;

/** The values of the options for the data set that `--calibration` names. */
export type CalibrationDatasetValues = {
  readonly calibrationAnnotations?: string | undefined;
  readonly calibrationImagesRoot?: string | undefined;
  readonly calibrationSplit?: string | undefined;
};

/** The values of `--validate` and of the options for the data set that it names. */
export type ValidationDatasetValues = {
  readonly validateAnnotations?: string | undefined;
  readonly validateImagesRoot?: string | undefined;
  readonly validateSplit?: string | undefined;
};

/** The values of the options for reading pictures. */
export type ReadingValues = {
  readonly ignoreOrientation?: true | undefined;
  readonly cleanNames?: true | undefined;
  readonly skipUnreadable?: true | undefined;
  readonly maxPixels?: number | undefined;
};

/** Adds the options for reading pictures to a command whose data set is not an argument, such as `--calibration`. */
export const addReadingOptions = optionGroup<ReadingValues>(readingOptions);

/** Adds the options for the labels of a data set to a command that reads no pictures. `separateDataset` reads them. */
export const addLabelOptions = optionGroup<LabelValues>(() => [
  annotationsOption(),
  imagesRootOption(),
  splitOption(),
  ignoreOrientationOption(),
]);

/** The options for the data set of `--calibration`. */
export const calibrationDatasetOptions = () => otherDatasetOptions('calibration', 'train');

/** Adds the options for the data set of `--calibration` to a command that has it. `separateDataset` reads them. */
export const addCalibrationDatasetOptions = optionGroup<CalibrationDatasetValues>(calibrationDatasetOptions);

/** Adds the options for the data set of `--validate` to a command that has it. `separateDataset` reads them. */
export const addValidationDatasetOptions = optionGroup<ValidationDatasetValues>(() =>
  otherDatasetOptions('validate', 'val'),
);

/** Adds the options for a data set to a command. `separateDataset` reads them. */
export const addDatasetOptions = optionGroup<DatasetValues>(() => [
  annotationsOption(),
  imagesRootOption(),
  splitOption(),
  ...readingOptions(),
]);

/** All values that `separateDataset` reads. */
type AllValues = DatasetValues &
  CalibrationDatasetValues &
  ValidationDatasetValues & {
    readonly calibration?: string | undefined;
    readonly validate?: string | undefined;
  };

/** The options of a command, separated into data sets and the rest. */
interface Separated<Options> {
  /** Turns the path of the data set that is an argument into the source that a step takes. */
  readonly named: (path: string) => string | DatasetFiles;
  /** The data set of `--calibration`. */
  readonly calibration: string | DatasetFiles | undefined;
  /** The data set of `--validate`. */
  readonly validate: string | DatasetFiles | undefined;
  /** The other options, with the callbacks of a step. */
  readonly others: Omit<Options, Exclude<keyof AllValues, 'skipUnreadable' | 'maxPixels'>> & {
    onLeftOut: (sentence: string) => void;
    onNotice: (sentence: string) => void;
  };
}

/**
 * Separates what is said about data sets from the other options of a command. `--ignore-orientation` and `--clean-names` hold for
 * all of them.
 *
 * @throws UsageError if an option is about a data set that is not named
 */
export function separateDataset<Options extends AllValues>({
  annotations,
  imagesRoot,
  split,
  calibration,
  calibrationAnnotations,
  calibrationImagesRoot,
  calibrationSplit,
  validate,
  validateAnnotations,
  validateImagesRoot,
  validateSplit,
  ignoreOrientation,
  cleanNames,
  ...others
}: Options): Separated<Options> {
  const source = (path: string, own: Omit<DatasetFiles, 'path'>) => {
    const files = { ...own, ignoreOrientation, cleanNames };
    return Object.values(files).every((value) => value === undefined) ? path : { path, ...files };
  };
  const other = (name: string, path: string | undefined, own: Omit<DatasetFiles, 'path'>) => {
    if (path !== undefined) return source(path, own);
    const [unused] = Object.entries(own).find(([, value]) => value !== undefined) ?? [];
    if (unused === undefined) return undefined;
    throw new UsageError(`\`${unused}\` of \`${name}\` has no effect without \`${name}\`; leave it out.`);
  };
  return {
    named: (path) => source(path, { annotations, imagesRoot, split }),
    calibration: other('calibration', calibration, {
      annotations: calibrationAnnotations,
      imagesRoot: calibrationImagesRoot,
      split: calibrationSplit,
    }),
    validate: other('validate', validate, {
      annotations: validateAnnotations,
      imagesRoot: validateImagesRoot,
      split: validateSplit,
    }),
    others: { ...others, onLeftOut: leftOut, onNotice: notice },
  };
}
