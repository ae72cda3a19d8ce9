/** Names of the inputs and outputs of the models of a training step, beside those that the model family chooses. */
import type { Head, LossWeights } from '../models/training-family.ts';

/** The inputs that come from data. T is the number of targets of an image, with one row more that stands for none. */
export const STEP_INPUTS = {
  /** Images in the upper left corner of a canvas, [batch, height, width, 3] uint8. */
  images: 'images',
  /** Height and width of each image, [batch, 2] int64. */
  imageSizes: 'image_sizes',
  /** Boxes (cx, cy, w, h) in 0..1 of the targets, [batch, T + 1, 4]. */
  targetBoxes: 'target_boxes',
  /** 1 for the tokens of a target's phrase, [batch, T + 1, tokens]. */
  targetTokens: 'target_tokens',
  /** The number of targets in the batch, at least 1: a scalar. */
  targetCount: 'target_count',
  /** The target of each denoising query, [batch, denoising queries] int64. */
  denoisingAssignment: 'assignment.denoising',
  /** 1 for denoising queries that count, [batch, denoising queries]. */
  denoisingCounts: 'denoising_counts',
} as const;

/** The output with the loss, a scalar. */
export const LOSS = 'loss';
/** The output with the distance from the teacher, a scalar. */
export const DISTILLATION_LOSS = 'loss.distillation';

/** The output with a part of the loss of a head, a scalar. Logs use the same names. */
export const lossName = (head: Head, part: keyof LossWeights): string => `loss.${head.name}.${part}`;

/** The output with the costs of assigning each query of a head to each target, [batch, queries, T + 1]. */
export const costName = (head: Head): string => `costs.${head.name}`;

/** The input with the target of each query of a head, [batch, queries] int64. */
export const assignmentName = (head: Head): string => `assignment.${head.name}`;
