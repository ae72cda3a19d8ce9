/** Parsers of option values, and the options that several commands share. */
import { Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { CALIBRATION_DEFAULTS } from '../pipeline/calibration-options.ts';
import { GENERIC_RECIPE } from '../pipeline/default-recipe.ts';
import { bundledRecipes } from '../quant/recipe.ts';
import { TARGET_NAMES, TARGETS } from '../quant/targets/targets.ts';
import { type CalibrationDatasetValues, calibrationDatasetOptions } from './dataset-options.ts';
import { notice } from './notices.ts';
import { optionGroup } from './option-group.ts';

/** A parser of whole numbers from `minimum` up. `option` names the option in errors. */
export function wholeNumber(option: string, minimum = 1): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < minimum)
      throw new UsageError(`${option} must be a whole number of at least ${minimum}, not "${text}".`);
    return value;
  };
}

/** A parser of numbers from 0 to 1. */
export function fraction(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= 0 && value <= 1))
      throw new UsageError(`${option} must be a number from 0 to 1, not "${text}".`);
    return value;
  };
}

/** A parser of positive numbers. */
export function positive(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
      throw new UsageError(`${option} must be a positive number, not "${text}".`);
    return value;
  };
}

/** A parser of numbers from 0 up. */
export function notNegative(option: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value < 0)
      throw new UsageError(`${option} must be a number from 0 up, not "${text}".`);
    return value;
  };
}

/** `--allowed-drop` @param standard the default in words, if it depends on something */
export const allowedDropOption = (standard = '') =>
  new Option(
    '--allowed-drop <points>',
    `points of AP that a variant may lose, at the lower end of its 95 % interval, for the report to recommend it${standard && ` ${standard}`}`,
  ).argParser(notNegative('--allowed-drop'));

/** `--json` */
export const jsonOption = () => new Option('--json', 'print the result as JSON');

/** `--threads` */
export const threadsOption = () =>
  new Option(
    '--threads <count>',
    'number of threads of ONNX Runtime (default: $DINO8_THREADS, else one for each CPU core)',
  ).argParser(wholeNumber('--threads'));

/** `--overwrite` */
export const overwriteOption = () =>
  new Option(
    '--overwrite',
    'let a result take the place of a file that the command reads, which is refused without this',
  );

/** `--ema` */
export const emaOption = () =>
  new Option(
    '--ema',
    'take the running average (EMA) of the weights, which some trainings save beside the weights themselves in a checkpoint',
  );

/** `--tokenizer` */
export const tokenizerOption = () =>
  new Option(
    '--tokenizer <folder>',
    "take the tokenizer of a checkpoint from this folder (default: the checkpoint's own folder, or else the folder above it)",
  );

/** `--shard` @param joined what makes one result of the parts */
export const shardOption = (joined: string) =>
  new Option('--shard <i/n>', `do only part i of n, for instance on one of n machines; ${joined}`).argParser(
    parseShard,
  );

function parseShard(text: string): { index: number; count: number } {
  const [, index = 0, count = 0] = (/^(\d{1,6})\/(\d{1,6})$/.exec(text) ?? []).map(Number);
  if (index < 1 || index > count) throw new UsageError(`--shard must be like 1/4, part 1 of 4, not "${text}".`);
  return { index, count };
}

/** `--seed` */
export const seedOption = () =>
  new Option('--seed <number>', 'seed of every random choice; the same seed makes the same choices')
    .argParser(wholeNumber('--seed', 0))
    .default(CALIBRATION_DEFAULTS.seed);

/** `--recipe`. `description` says what the command does with the recipe. */
export const recipeOption = <Name extends string>(description: string, standard: Name) =>
  new Option(
    '--recipe <recipe>',
    `${description}: a bundled one (${bundledRecipes().join(', ')}) or the path of a YAML file`,
  ).default<string>(standard);

/** `--recipe` of a command whose default depends on the model. `description` says what the command does with the recipe. */
export const recipeForModelOption = (description: string, standard: string) =>
  new Option(
    '--recipe <recipe>',
    `${description}: a bundled one (${bundledRecipes().join(', ')}) or the path of a YAML file (default: ${standard}; ${GENERIC_RECIPE} for a model that is no detector of dino8)`,
  );

/** `--target` */
export const targetOption = (description: string) =>
  new Option(
    '--target <runtime>',
    `${description} (${TARGETS.map((target) => `${target.name}: ${target.description}`).join('; ')})`,
  )
    .choices([...TARGET_NAMES])
    .default(TARGET_NAMES[0]);

/** `--statistics` */
const statisticsOption = () =>
  new Option(
    '--statistics <file>',
    'take the statistics of static layers from this file, which dino8 calibrate wrote for the same float model',
  );

/** `--ranges`, the old name of `--statistics`. */
const rangesOption = () => new Option('--ranges <file>', 'the old name of --statistics').hideHelp();

/** `--calibration` */
const calibrationOption = () =>
  new Option(
    '--calibration <inputs>',
    'calibrate a detector on this data set, and any other model on this file or folder of arrays or pictures; some techniques need images even with --statistics',
  );

/** `--calibration-images` */
const calibrationImagesOption = () =>
  new Option(
    '--calibration-images <count>',
    'calibrate on this many inputs of --calibration, chosen at random from a data set',
  )
    .argParser(wholeNumber('--calibration-images'))
    .default(CALIBRATION_DEFAULTS.calibrationImages);

/** The values of the options that say what to calibrate on. */
export interface CalibrationValues extends CalibrationDatasetValues {
  readonly statistics?: string | undefined;
  readonly ranges?: string | undefined;
  readonly calibration?: string | undefined;
  readonly calibrationImages: number;
}

/** Adds the options that say what to calibrate on. `statisticsOf` reads the name of the statistics file. */
export const addCalibrationOptions = optionGroup<CalibrationValues>(() => [
  statisticsOption(),
  rangesOption(),
  calibrationOption(),
  calibrationImagesOption(),
  ...calibrationDatasetOptions(),
]);

/** The statistics file, by the new name or, with a notice, by the old one. */
export function statisticsOf({
  statistics,
  ranges,
}: {
  readonly statistics?: string | undefined;
  readonly ranges?: string | undefined;
}): string | undefined {
  if (ranges === undefined) return statistics;
  if (statistics !== undefined)
    throw new UsageError('--ranges is the old name of --statistics; give only --statistics.');
  notice('--ranges is the old name of --statistics and will be removed in the next version.');
  return ranges;
}
