/** COCO's figures as people read them: in points (hundredths), with their intervals, and changes with a verdict. */
import { signed } from '../base/format.ts';
import { type Estimate, isChance } from '../base/statistics.ts';

/** The words for a change whose interval contains 0. */
export const CHANCE = 'not distinguishable from chance';

/** A figure in points; a dash where there was nothing to score. */
export const points = (value: number): string => (value < 0 ? '–' : (100 * value).toFixed(2));

/** A change in points with its sign. What rounds to 0 has none. */
export const signedPoints = (value: number): string => signed(100 * value);

/** The 95 % interval of a figure; a dash if it is not known. */
export const pointsInterval = (figure: Estimate | undefined): string =>
  figure ? `${points(Math.max(figure.low, 0))} to ${points(figure.high)}` : '–';

/** The 95 % interval of a change; a dash if it is not known. */
export const signedInterval = (change: Estimate | undefined): string =>
  change ? `${signedPoints(change.low)} to ${signedPoints(change.high)}` : '–';

/** The meaning of a change, in words. */
export function verdict(change: Estimate | undefined): string {
  if (!change) return '–';
  if (isChance(change)) return CHANCE;
  return change.value > 0 ? 'better' : 'worse';
}
