/** The numbers of how well a detector knows words, as cells of tables. */
import { signed } from '../base/format.ts';
import type { VocabularyNumber } from '../evaluate/open-vocabulary.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';

const signedOrNone = (value: number | undefined): string => (value === undefined ? '–' : signedPoints(value));

/** An average precision and its interval. */
export const precisionCells = ({ value = -1, interval }: VocabularyNumber): string[] => [
  points(value),
  pointsInterval(interval),
];

/** False alarms in an image, and their interval. */
export const alarmCells = ({ value, interval }: VocabularyNumber): string[] => [
  value === undefined ? '–' : value.toFixed(2),
  interval ? `${interval.low.toFixed(2)} to ${interval.high.toFixed(2)}` : '–',
];

/** The change of false alarms from the other model, and its interval. */
export const alarmChangeCells = ({ change, changeInterval: interval }: VocabularyNumber): string[] => [
  change === undefined ? '–' : signed(change),
  interval ? `${signed(interval.low)} to ${signed(interval.high)}` : '–',
];

/** The number of categories that an average precision is the mean of. */
export const categoryCount = (count: number): string =>
  count === 0 ? 'no box' : `${count} ${count === 1 ? 'category' : 'categories'}`;

/** A difference of two average precisions and its interval. */
export const differenceCells = ({ value, interval }: VocabularyNumber): string[] => [
  signedOrNone(value),
  signedInterval(interval),
];

/** The change from the other model, its interval, and what it means. */
export const changeCells = ({ change, changeInterval }: VocabularyNumber): string[] => [
  signedOrNone(change),
  signedInterval(changeInterval),
  verdict(changeInterval),
];
