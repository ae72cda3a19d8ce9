/**
 * Room for the queries: each query starts from a position of the feature maps, so a picture must have at least as many
 * positions as the model has queries. Very small and very narrow pictures have fewer and are padded.
 */
import { InputError } from '../../base/errors.ts';
import type { PreparedImages } from '../../data/prepare-images.ts';
import type { Size } from '../../data/size.ts';
import { booleans, floatData, floats } from '../../runtime/tensor.ts';
import type { Config } from './config.ts';

/** What the number of positions depends on. */
export type CanvasConfig = Pick<Config, 'num_queries' | 'num_feature_levels'>;

/** Pixels along a side for one position of the finest map; it is twice as many in each further map. */
const FINEST_STRIDE = 8;

/** The number of positions of all feature maps. */
function positionsOf({ height, width }: Size, levels: number): number {
  let positions = 0;
  for (let level = 0; level < levels; level++) {
    const stride = FINEST_STRIDE * 2 ** level;
    positions += Math.ceil(height / stride) * Math.ceil(width / stride);
  }
  return positions;
}

/** The size itself if it has a position for every query; otherwise the shorter side grows until there are enough. */
export function canvasFor(config: CanvasConfig, { height, width }: Size): Size {
  let size = { height, width };
  const next = (side: number) => (Math.floor(side / FINEST_STRIDE) + 1) * FINEST_STRIDE;
  while (positionsOf(size, config.num_feature_levels) < config.num_queries)
    size = size.height <= size.width ? { ...size, height: next(size.height) } : { ...size, width: next(size.width) };
  return size;
}

/** Pads prepared images on the right and at the bottom where they have too few positions. */
export function padForQueries(config: CanvasConfig, prepared: PreparedImages): PreparedImages {
  const [batch = 0, channels = 0, height = 0, width = 0] = prepared.pixelValues.shape;
  const canvas = canvasFor(config, { height, width });
  if (canvas.height === height && canvas.width === width) return prepared;
  const plane = canvas.height * canvas.width;
  const pixels = new Float32Array(batch * channels * plane);
  const valid = new Uint8Array(batch * plane);
  const [before, mask] = [floatData(prepared.pixelValues), prepared.validPixels.data as Uint8Array]; // booleans are bytes
  for (let row = 0; row < batch * channels * height; row++) {
    const to = Math.floor(row / height) * plane + (row % height) * canvas.width;
    pixels.set(before.subarray(row * width, (row + 1) * width), to);
  }
  for (let row = 0; row < batch * height; row++) {
    const to = Math.floor(row / height) * plane + (row % height) * canvas.width;
    valid.set(mask.subarray(row * width, (row + 1) * width), to);
  }
  return {
    pixelValues: floats(pixels, [batch, channels, canvas.height, canvas.width]),
    validPixels: booleans(valid, [batch, canvas.height, canvas.width]),
  };
}

/** Refuses padded images for a model that has no input for the mask of padding and would take it for a part of the image. */
export function checkUnpadded({ pixelValues, validPixels }: PreparedImages): void {
  if ((validPixels.data as Uint8Array).every(Boolean)) return; // booleans are bytes
  const [, , height, width] = pixelValues.shape;
  throw new InputError(
    `The model was specialized to images without padding, but an image is padded to ${height}x${width} pixels; specialize it with \`padding\`.`,
  );
}
