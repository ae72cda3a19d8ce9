/** The options that say what a data set is, which are the same in every command that takes one. */
import { Option } from '@commander-js/extra-typings';
import type { DatasetFiles } from '../pipeline/sources.ts';
import { leftOut } from './left-out.ts';
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
export const splitOption = () =>
  new Option(
    '--split <name>',
    'the split of a data set that has several, such as train, val or test (default: train or val, by the command)',
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

const readingOptions = () => [ignoreOrientationOption(), cleanNamesOption(), skipUnreadableOption()];

/** The values of the options for a data set: a type, since the types of several helpers are put together. */
export type DatasetValues = ReadingValues & {
  readonly annotations?: string | undefined;
  readonly imagesRoot?: string | undefined;
  readonly split?: string | undefined;
};

/** The values of the options for reading pictures. */
export type ReadingValues = {
  readonly ignoreOrientation?: true | undefined;
  readonly cleanNames?: true | undefined;
  readonly skipUnreadable?: true | undefined;
};

/** Adds the options for reading pictures to a command whose data set is not an argument, such as `--calibration`. */
export const addReadingOptions = optionGroup<ReadingValues>(readingOptions);

/** Adds the options for a data set to a command. `separateDataset` reads them. */
export const addDatasetOptions = optionGroup<DatasetValues>(() => [
  annotationsOption(),
  imagesRootOption(),
  splitOption(),
  ...readingOptions(),
]);

/**
 * Separates what is said about the data set from the other options of a command. `named` turns the path of the data set into
 * the source that a step takes, and `other` that of a second data set, for which only `--ignore-orientation` and
 * `--clean-names` hold. `others` has the callbacks of the step too.
 */
export function separateDataset<Options extends DatasetValues>({
  annotations,
  imagesRoot,
  split,
  ignoreOrientation,
  cleanNames,
  ...others
}: Options): {
  named: (path: string) => string | DatasetFiles;
  other: <Path extends string | undefined>(path: Path) => Path | DatasetFiles;
  others: Omit<Options, Exclude<keyof DatasetValues, 'skipUnreadable'>> & {
    onLeftOut: (sentence: string) => void;
    onNotice: (sentence: string) => void;
  };
} {
  const reading = { ignoreOrientation, cleanNames };
  const files = { annotations, imagesRoot, split, ...reading };
  const isPlain = Object.values(files).every((value) => value === undefined);
  return {
    named: (path) => (isPlain ? path : { path, ...files }),
    other: (path) => (path === undefined || !(ignoreOrientation || cleanNames) ? path : { path, ...reading }),
    others: { ...others, onLeftOut: leftOut, onNotice: notice },
  };
}
