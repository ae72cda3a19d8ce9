/**
 * Denoising queries (DINO, Zhang et al. 2022, https://arxiv.org/abs/2203.03605, section 3.3). Their boxes are targets with
 * noise, some of them with a wrong phrase, and the decoder is trained to restore the targets. The target of each query is
 * known, so that no matching is needed. GroundingDINO has no table of labels: the content of a query is the mean of the text
 * features of its phrase.
 */
import type { LabelledBox } from '../../../data/labelled-box.ts';
import type { DenoisingQuery, DenoisingSettings } from '../../training-family.ts';

/** The settings of MMDetection's training of GroundingDINO (https://github.com/open-mmlab/mmdetection). */
export const DENOISING: DenoisingSettings = { queries: 100, labelNoise: 0.5, boxNoise: 1 };

/**
 * The number of denoising groups. A group holds one positive and one negative query for each target.
 * @param targets the number of targets that every image is padded to
 * @returns 0 without denoising, else at least 1
 */
export function denoisingGroups({ queries }: DenoisingSettings, targets: number): number {
  return queries === 0 ? 0 : Math.max(1, Math.floor(queries / (2 * targets)));
}

/** The box (cx, cy, w, h) of a place that no query takes: a small one in the middle of the image. */
export const EMPTY_BOX = [0.5, 0.5, 0.1, 0.1] as const;
/** The minimum width and height of a box in fractions of the image, so that its logits are finite. */
const SMALLEST = 1e-3;

/**
 * Draws the denoising queries of an image. A group has 2 · `targets` places: the positive queries of all targets, whose
 * corners move by less than half a side, then the negative ones, whose corners move further.
 * @param labels boxes (x, y, width, height) in fractions of the image
 * @param categories the categories of the prompt
 * @param random returns the next number, uniform in [0, 1)
 * @returns a query for each place; undefined where the image has no target for it
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
      // As in the reference implementation, the phrase is drawn with half of the probability, and may be the right one.
      category: random() < labelNoise / 2 ? other : label.category,
      target: isNegative ? undefined : target,
    };
  });
}

/**
 * The attention mask of the decoder's self-attention with denoising queries: the network's own queries attend to each
 * other, and a group of denoising queries attends to itself and to the network's own queries.
 * @param queries the number of the network's own queries, which come after the denoising queries
 * @param masked the number that is added to the scores of pairs that must not attend
 * @returns the numbers to add to attention scores, [all, all] row by row
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
