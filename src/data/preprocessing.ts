/** The preprocessing that a checkpoint states: the settings of its preprocessor_config.json that change pixels. */
import { z } from 'zod';

const channels = z.tuple([z.number(), z.number(), z.number()]);

/** The form of preprocessor_config.json; the defaults are those of the published models. */
export const preprocessingSchema = z.object({
  image_mean: channels.default([0.485, 0.456, 0.406]),
  image_std: channels
    .refine((values) => values.every((value) => value > 0), 'must be positive')
    .default([0.229, 0.224, 0.225]),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  size: z
    .object({
      shortest_edge: z.number().int().min(1).max(16_384).default(800),
      longest_edge: z.number().int().min(1).max(16_384).default(1333),
    })
    .prefault({}),
});

/** The settings by which pixels become the model's input, under the names of preprocessor_config.json. */
export interface Preprocessing {
  /** The mean of red, green and blue after scaling. */
  readonly image_mean: readonly [number, number, number];
  /** The standard deviation of red, green and blue after scaling. */
  readonly image_std: readonly [number, number, number];
  /** The factor of a pixel from 0 to 255. */
  readonly rescale_factor: number;
  /** The size that images are resized to, in pixels; see `resizedSize`. */
  readonly size: ResizeLimits;
}

/** Limits of the sides of a resized image in pixels. */
export interface ResizeLimits {
  /** The length that the shorter side gets, unless the longer side would be too long. */
  readonly shortest_edge: number;
  /** The maximum length of the longer side. */
  readonly longest_edge: number;
}
