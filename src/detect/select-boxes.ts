/** Which of the boxes that were found are kept: the best ones, and of boxes of one phrase that overlap only the best. */
import { checkOptions, numberWithin, type OptionSchemas, optional, wholeNumber } from '../base/check-options.ts';
import type { Box } from '../data/labelled-box.ts';
import type { ScoredBox } from '../models/detection-family.ts';

/** The default score below which boxes are left out, as the published models use it. */
export const DEFAULT_THRESHOLD = 0.35;

/** Which boxes of an image are kept. */
export interface BoxSelection {
  /** Leaves out boxes with a lower score, from 0 to 1; 0.35 by default. Other tools call it the box threshold. */
  readonly threshold?: number | undefined;
  /**
   * Leaves out boxes whose phrase has no token with at least this probability, from 0 to 1. It matters only above `threshold`,
   * because the score of a box is the highest probability of the tokens of its phrase. Other tools label a box with the tokens
   * above it; dino8 labels a box with its whole phrase.
   */
  readonly textThreshold?: number | undefined;
  /** Leaves out a box that overlaps a better one of the same phrase by more than this intersection over union, from 0 to 1. */
  readonly maxOverlap?: number | undefined;
  /** Keeps this many boxes of an image, the best ones; all by default. */
  readonly maxBoxes?: number | undefined;
}

const fraction = optional(numberWithin(0, 1));

/** What the options of a selection must be. */
export const boxSchemas: OptionSchemas<BoxSelection> = {
  threshold: fraction,
  textThreshold: fraction,
  maxOverlap: fraction,
  maxBoxes: optional(wholeNumber(1)),
};

/** @throws UsageError if a limit is not possible or not known */
export function checkSelection(selection: BoxSelection): void {
  checkOptions('A selection of boxes', boxSchemas, selection);
}

/** The minimum score of a box. */
export const minimumScore = ({ threshold = DEFAULT_THRESHOLD, textThreshold = 0 }: BoxSelection): number =>
  Math.max(threshold, textThreshold);

/**
 * The boxes of an image that are kept.
 * @param boxes in descending order of their scores
 */
export function selectBoxes<Scored extends ScoredBox>(
  boxes: readonly Scored[],
  { maxOverlap, maxBoxes }: BoxSelection,
): Scored[] {
  const distinct = maxOverlap === undefined ? boxes : withoutOverlaps(boxes, maxOverlap);
  return distinct.slice(0, maxBoxes);
}

/** Non-maximum suppression within each phrase: a box is kept if no better one of its phrase that is kept overlaps it. */
function withoutOverlaps<Scored extends ScoredBox>(boxes: readonly Scored[], limit: number): Scored[] {
  const keptOf = new Map<number, Box[]>();
  return boxes.filter(({ phrase, box }) => {
    const kept = keptOf.get(phrase) ?? [];
    if (kept.some((better) => overlap(better, box) > limit)) return false;
    keptOf.set(phrase, [...kept, box]);
    return true;
  });
}

/** Intersection over union. */
function overlap([ax, ay, aw, ah]: Box, [bx, by, bw, bh]: Box): number {
  const width = Math.min(ax + aw, bx + bw) - Math.max(ax, bx);
  const height = Math.min(ay + ah, by + bh) - Math.max(ay, by);
  const shared = Math.max(0, width) * Math.max(0, height);
  return shared > 0 ? shared / (aw * ah + bw * bh - shared) : 0;
}
