/** The log of a training: a file of JSON lines with the figures of each step and each score, for people and for plots. */
import { z } from 'zod';
import { writeAtomic } from '../base/files.ts';
import { Journal } from '../base/json-lines.ts';

const stepSchema = z.object({
  /** The kind of the line. */
  kind: z.literal('step'),
  /** The number of the step, from 1. */
  step: z.int().min(1),
  /** Passes through the images, with the fraction of the pass that is running. */
  epoch: z.number().min(0),
  /** The loss that is minimised. */
  loss: z.number(),
  /** The parts of the loss of labelled boxes, without their weights: means over the heads. */
  class: z.number(),
  /** As `class`, of the L1 distance of boxes. */
  box: z.number(),
  /** As `class`, of one minus the generalised intersection over union. */
  giou: z.number(),
  /** The distance from the teacher, without its weight. */
  distillation: z.number().optional(),
  /** The learning rate. */
  rate: z.number(),
  /** The norm of the gradient before it was clipped. */
  gradientNorm: z.number(),
  /** The number of images that were trained in a second. */
  imagesPerSecond: z.number(),
});

const scoreSchema = z.object({
  /** The kind of the line. */
  kind: z.literal('score'),
  /** The number of finished steps. */
  step: z.int().min(0),
  /** Average precision on the validation images, in COCO's points (0 … 100). */
  AP: z.number(),
  /** Average precision at an IoU of 0.5. */
  AP50: z.number(),
  /** The number of validation images. */
  images: z.int().min(0),
  /** A hash of the validation images' names and labels; a log of an older version has none. */
  labels: z.string().optional(),
});

const lineSchema = z.discriminatedUnion('kind', [stepSchema, scoreSchema]);

/** A line of the log: the figures of a step, or a score. */
export type LogLine = z.output<typeof lineSchema>;

/**
 * Opens the log of a training.
 * @param step the number of finished steps; lines of later steps, whose results were lost in an interruption, are removed
 * @throws InputError if the file is damaged, or cannot be read or written
 */
export async function openTrainingLog(path: string, step: number): Promise<Journal<LogLine>> {
  // A training that starts anew takes over nothing, whatever the file holds.
  if (step === 0) await writeAtomic(path, '');
  return Journal.open(path, { kind: 'training', schema: lineSchema, keep: (line) => line.step <= step });
}
