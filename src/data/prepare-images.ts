/**
 * Prepares images as the input of a detector: they are resized as Pillow does, normalised by a model, and padded on the right and
 * at the bottom.
 */
import { InputError } from '../base/errors.ts';
import { RuntimeError } from '../runtime/error.ts';
import type { ModelRunner } from '../runtime/model-runner.ts';
import { booleans, floatData, floats, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import type { Preprocessing } from './preprocessing.ts';
import { resample } from './resample.ts';
import type { Image } from './rgb-image.ts';
import { resizedSize, type Size } from './size.ts';

/** A batch of prepared images. */
export interface PreparedImages {
  /** The normalised pixels, float [batch, 3, height, width]. */
  readonly pixelValues: Tensor;
  /** False where a pixel is padding, boolean [batch, height, width]. */
  readonly validPixels: Tensor;
}

/** The names of the inputs and the result of the model that scales, normalises and pads pixels: see `preprocessingGraph`. */
export const NORMALIZATION = { image: 'image', padding: 'padding', result: 'prepared' } as const;

/**
 * Prepares images of any sizes as one batch. They are padded to the size that the settings state, or else to the largest
 * height and width.
 * @param normalization runs `preprocessingGraph(settings)`
 * @throws InputError if an image is larger than the stated size, or if images of different sizes may not be padded
 * @throws RuntimeError if there is not enough memory
 */
export async function prepareImages(
  images: readonly Image[],
  settings: Preprocessing,
  normalization: Pick<ModelRunner, 'run'>,
): Promise<PreparedImages> {
  const sizes = images.map((image) => resizedSize(image, settings.size));
  checkPadSize(images, sizes, settings);
  const { height, width } = paddedSize(sizes, settings);
  const plane = height * width;
  const { pixels, valid } = allocate(images.length, plane);
  for (const [index, image] of images.entries()) {
    const size = sizes[index] as Size; // one size per image
    const resized = resample(image, size, settings.resample);
    using outputs = await normalization.run({
      [NORMALIZATION.image]: tensor(resized.pixels, [1, size.height, size.width, 3]),
      [NORMALIZATION.padding]: integers([height - size.height, width - size.width], [2]),
    });
    pixels.set(floatData(outputs.get(NORMALIZATION.result)), index * 3 * plane);
    for (let row = 0; row < size.height; row++) {
      const start = index * plane + row * width;
      valid.fill(1, start, start + size.width);
    }
  }
  return {
    pixelValues: floats(pixels, [images.length, 3, height, width]),
    validPixels: booleans(valid, [images.length, height, width]),
  };
}

/** The size of a batch, for images that were resized to `sizes`. */
function paddedSize(sizes: readonly Size[], { do_pad, pad_size }: Preprocessing): Size {
  const largest = {
    height: Math.max(...sizes.map(({ height }) => height)),
    width: Math.max(...sizes.map(({ width }) => width)),
  };
  if (!do_pad && sizes.some(({ height, width }) => height !== largest.height || width !== largest.width))
    throw new InputError(
      'Images of different sizes cannot be one batch, because the preprocessing of the model has do_pad false; give them one at a time.',
    );
  return pad_size ?? largest;
}

function checkPadSize(images: readonly Image[], sizes: readonly Size[], { pad_size }: Preprocessing): void {
  for (const [index, { height, width }] of sizes.entries())
    if (pad_size && (height > pad_size.height || width > pad_size.width))
      throw new InputError(
        `${images[index]?.source ?? 'An image'} has ${height}x${width} pixels after resizing, more than the pad_size ${pad_size.height}x${pad_size.width} of the model's preprocessing; make the image smaller, or pad_size larger.`,
      );
}

function allocate(images: number, plane: number) {
  try {
    return { pixels: new Float32Array(images * 3 * plane), valid: new Uint8Array(images * plane) };
  } catch {
    throw new RuntimeError(`There is not enough memory for ${images * plane} pixels; make the images smaller.`);
  }
}
