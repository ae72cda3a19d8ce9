/** The normalisation of pixels, as nodes of a graph. */
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import type { Preprocessing } from './preprocessing.ts';

/**
 * Adds (bytes · rescale_factor − mean) / deviation to a graph.
 * @param bytes pixels with the channels last, uint8 […, 3]
 * @returns the normalised pixels, float […, 3]
 */
export function normalizePixels(
  b: GraphBuilder,
  bytes: Value,
  { rescale_factor, image_mean, image_std }: Pick<Preprocessing, 'rescale_factor' | 'image_mean' | 'image_std'>,
): Value {
  const perChannel = (values: readonly number[]) => b.constant(Float32Array.from(values), [3]);
  const scaled = b.mul(b.cast(bytes, DataType.FLOAT), rescale_factor);
  return b.div(b.sub(scaled, perChannel(image_mean)), perChannel(image_std));
}
