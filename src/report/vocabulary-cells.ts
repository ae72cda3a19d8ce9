/** The numbers of how well a detector knows words, as cells of tables. */
import type { VocabularyNumber } from '../evaluate/open-vocabulary.ts';
import { points, pointsInterval, signedInterval, signedPoints, verdict } from '../evaluate/points.ts';

const signedOrNone = (value: number | undefined): string => (value === undefined ? '–' : signedPoints(value));

/** An average precision and its interval. */
export const precisionCells = ({ value = -1, interval }: VocabularyNumber): string[] => [
  points(value),
  pointsInterval(interval),
];

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
