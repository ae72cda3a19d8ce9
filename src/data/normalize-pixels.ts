/** The scaling and normalisation of pixels, as nodes of a graph. */
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import type { Preprocessing } from './preprocessing.ts';

/** The settings that `normalizePixels` needs. */
export type PixelScaling = Pick<
  Preprocessing,
  'do_rescale' | 'rescale_factor' | 'do_normalize' | 'image_mean' | 'image_std'
>;

/**
 * Adds (bytes · rescale_factor − mean) / deviation to a graph, or the part of it that the settings ask for.
 * @param bytes pixels with the channels last, uint8 […, 3]
 * @returns the pixels of the model's input, float […, 3]
 */
export function normalizePixels(b: GraphBuilder, bytes: Value, settings: PixelScaling): Value {
  const perChannel = (values: readonly number[]) => b.constant(Float32Array.from(values), [3]);
  const whole = b.cast(bytes, DataType.FLOAT);
  const scaled = settings.do_rescale ? b.mul(whole, settings.rescale_factor) : whole;
  if (!settings.do_normalize) return scaled;
  return b.div(b.sub(scaled, perChannel(settings.image_mean)), perChannel(settings.image_std));
}
