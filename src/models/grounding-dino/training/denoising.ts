/**
 * Denoising queries (Zhang et al. 2022, https://arxiv.org/abs/2203.03605, section 3.3): boxes near the targets, with the
 * phrase of the target or of another, that the decoder is to put right. What belongs to each is known, so that nothing has
 * to be matched. The network has no table of labels: a query's content are the text features of its phrase.
 */
import type { LabelledBox } from '../../../data/labelled-box.ts';
import type { DenoisingQuery, DenoisingSettings } from '../../training-family.ts';

/** mmdetection's settings for GroundingDINO. */
export const DENOISING: DenoisingSettings = { queries: 100, labelNoise: 0.5, boxNoise: 1 };

/** How many times all targets are there: each once near enough to be found, and once too far. */
export function denoisingGroups({ queries }: DenoisingSettings, targets: number): number {
  return queries === 0 ? 0 : Math.max(1, Math.floor(queries / (2 * targets)));
}

/** A queries' place that is not used: a box in the middle. */
export const EMPTY_BOX = [0.5, 0.5, 0.1, 0.1] as const;
/** Boxes have at least this size: their logits must be finite. */
const SMALLEST = 1e-3;

/**
 * The queries of an image in `groups` groups of 2 · `targets` places, positives first.
 * @param labels with boxes in shares of the image
 * @param categories those of the prompt
 */
export function denoisingQueries(
  labels: readonly LabelledBox[],
  categories: readonly number[],
  { targets, groups, labelNoise, boxNoise }: DenoisingSettings & { readonly targets: number; readonly groups: number },
  random: () => number,
): (DenoisingQuery | undefined)[] {
  return Array.from({ length: groups * 2 * targets }, (_, place) => {
    const target = place % targets;
    const isNegative = Math.floor(place / targets) % 2 === 1;
    const label = labels[target];
    if (!label) return undefined;
    const [x, y, width, height] = label.box;
    const move = (half: number) => (random() + (isNegative ? 1 : 0)) * (random() < 0.5 ? -1 : 1) * half * boxNoise;
    const clamp = (value: number) => Math.min(Math.max(value, 0), 1);
    const [left, top] = [clamp(x + move(width / 2)), clamp(y + move(height / 2))];
    const [right, bottom] = [clamp(x + width + move(width / 2)), clamp(y + height + move(height / 2))];
    const other = categories[Math.floor(random() * categories.length)] ?? label.category;
    return {
      box: [
        (left + right) / 2,
        (top + bottom) / 2,
        Math.max(Math.abs(right - left), SMALLEST),
        Math.max(Math.abs(bottom - top), SMALLEST),
      ],
      // Half of the changed labels: as in the paper, what is drawn may be the right one by chance.
      category: random() < labelNoise / 2 ? other : label.category,
      target: isNegative ? undefined : target,
    };
  });
}

/**
 * Which queries may see which, as what is added to attention scores [all, all], row by row: the queries proper see each
 * other, a group of denoising queries sees itself and the queries proper.
 */
export function denoisingMask(groups: number, targets: number, queries: number, masked: number): Float32Array {
  const size = 2 * targets;
  const all = groups * size + queries;
  const groupOf = (index: number) => (index < groups * size ? Math.floor(index / size) : -1);
  return Float32Array.from({ length: all * all }, (_, place) => {
    const [from, to] = [groupOf(Math.floor(place / all)), groupOf(place % all)];
    return to === -1 || from === to ? 0 : masked;
  });
}
