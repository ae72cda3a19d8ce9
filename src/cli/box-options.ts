/** The options that say which of the boxes that were found are kept. */
import { Option } from '@commander-js/extra-typings';
import { UsageError } from '../base/errors.ts';
import { type BoxSelection, DEFAULT_THRESHOLD } from '../detect/select-boxes.ts';
import { optionGroup } from './option-group.ts';
import { fraction, wholeNumber } from './shared-options.ts';

/** The values of the options for boxes: a type, since the types of several helpers are put together. */
export type BoxValues = {
  readonly threshold?: number | undefined;
  readonly boxThreshold?: number | undefined;
  readonly textThreshold?: number | undefined;
  readonly nms?: number | undefined;
  readonly maxBoxes?: number | undefined;
};

/** Adds the options for boxes to a command. `separateBoxes` reads them. */
export const addBoxOptions = optionGroup<BoxValues>(() => {
  const number = (flag: string, value: string, description: string) =>
    new Option(`${flag} <${value}>`, description).argParser(fraction(flag));
  return [
    number(
      '--threshold',
      'score',
      `leave out boxes whose score is below this, from 0 to 1 (default: ${DEFAULT_THRESHOLD})`,
    ),
    number('--box-threshold', 'score', 'the same as --threshold, by its name in other tools'),
    number(
      '--text-threshold',
      'probability',
      'leave out boxes whose phrase has no word with at least this probability, from 0 to 1; it matters only above --threshold, because dino8 labels a box with a whole phrase and not with the words above this',
    ),
    number(
      '--nms',
      'iou',
      'leave out a box that overlaps a better one of the same phrase by more than this intersection over union, from 0 to 1 (default: keep all)',
    ),
    new Option('--max-boxes <count>', 'keep only the best <count> boxes of an image (default: keep all)').argParser(
      wholeNumber('--max-boxes'),
    ),
  ];
});

/**
 * Separates what the options for boxes say from the other options of a command.
 * @throws UsageError if --threshold is given by both of its names
 */
export function separateBoxes<Options extends BoxValues>({
  threshold,
  boxThreshold,
  textThreshold,
  nms,
  maxBoxes,
  ...others
}: Options): { boxes: BoxSelection; others: Omit<Options, keyof BoxValues> } {
  if (threshold !== undefined && boxThreshold !== undefined)
    throw new UsageError('--threshold and --box-threshold are two names of one option; give only one of them.');
  return { boxes: { threshold: threshold ?? boxThreshold, textThreshold, maxOverlap: nms, maxBoxes }, others };
}
