/** The sizes of a training that follow from its data. */
import { InputError, UsageError } from '../base/errors.ts';
import { type CocoDataset, phraseCategories } from '../data/coco.ts';
import { categoryPhrases } from '../data/phrases.ts';
import { resizedSize, type Size } from '../data/size.ts';
import { detectionOf, trainingOf } from '../models/family.ts';
import type { CheckpointPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';

/** The maximum number of targets of an image; a training leaves out those beyond it. */
const MAXIMUM_TARGETS = 300;
/** The numbers of tokens and of targets are rounded up to multiples of this. */
const UNIT = 8;
/** The sides of the canvas, in pixels, are rounded up to multiples of this. */
const SIDE_UNIT = 32;

const roundUp = (value: number, unit: number) => Math.ceil(value / unit) * unit;

/**
 * The canvas that holds every image of a dataset as the preprocessing of the model resizes and pads it, in pixels.
 *
 * @param given sides that the caller states
 * @throws UsageError if the stated sides are too small for the queries of the model
 */
export function canvasFor(
  dataset: CocoDataset,
  checkpoint: CheckpointPackage,
  given: { readonly [Side in keyof Size]?: number | undefined } = {},
): Size {
  const { size: rule, pad_size: padded } = checkpoint.preprocessing;
  const unknown = dataset.images.find(({ width, height }) => width === 0 || height === 0);
  if (unknown) throw new InputError(`The size of the image ${unknown.file_name} is not known.`);
  const sizes = dataset.images.map((image) => resizedSize(image, rule));
  const maximum = (side: keyof Size) =>
    sizes.reduce((largest, size) => Math.max(largest, size[side]), padded?.[side] ?? SIDE_UNIT);
  const { canvasFor: enough } = detectionOf(checkpoint);
  const needed = enough({ height: maximum('height'), width: maximum('width') });
  const canvas = {
    height: given.height ?? roundUp(needed.height, SIDE_UNIT),
    width: given.width ?? roundUp(needed.width, SIDE_UNIT),
  };
  const smallest = enough(canvas);
  if (smallest.height !== canvas.height || smallest.width !== canvas.width)
    throw new UsageError(
      `A canvas of ${canvas.height}x${canvas.width} has too few positions for the queries of the model; set \`height\` and \`width\` to at least ${smallest.height} and ${smallest.width}.`,
    );
  return canvas;
}

/**
 * The length in tokens of a prompt with all categories that occur in a dataset, or the maximum that the model takes.
 * @throws InputError if the dataset has no categories, UsageError if the model does not take prompts
 */
export function textLengthFor(dataset: CocoDataset, checkpoint: CheckpointPackage): number {
  const occurring = new Set(dataset.annotations.map(({ category_id }) => category_id));
  // Without any box the teacher is all there is to learn from, and it knows all categories.
  const known = phraseCategories(dataset).filter(({ id }) => occurring.size === 0 || occurring.has(id));
  if (known.length === 0) throw new InputError('The dataset has no categories; there is nothing to learn from.');
  const { longestPrompt, createPrompt } = detectionOf(checkpoint);
  const { chunks } = createPrompt(categoryPhrases(known), createTokenizer(checkpoint.tokenizer, checkpoint.source));
  return Math.min(longestPrompt, roundUp(Math.max(...chunks.map(({ tokens }) => tokens.length)), UNIT));
}

/** The number of targets that every image is padded to: enough for each image, and not more than there are queries. */
export function targetsFor({ annotations }: CocoDataset, checkpoint: CheckpointPackage): number {
  const counts = new Map<number, number>();
  for (const { image_id } of annotations) counts.set(image_id, (counts.get(image_id) ?? 0) + 1);
  const maximum = Math.max(1, ...counts.values());
  return Math.min(MAXIMUM_TARGETS, trainingOf(checkpoint).queries, roundUp(maximum, UNIT));
}
