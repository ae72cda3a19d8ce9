/**
 * Prepares images as the input of a detector: they are resized as Pillow does, and a small ONNX graph scales and normalises
 * the pixels, arranges them with the channels first, and pads them on the right and at the bottom.
 */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { RuntimeError } from '../runtime/error.ts';
import { Session } from '../runtime/session.ts';
import { booleans, floatData, floats, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import type { Image } from './image.ts';
import { normalizePixels } from './normalize-pixels.ts';
import type { Preprocessing } from './preprocessing.ts';
import { resample } from './resample.ts';
import { resizedSize, type Size } from './size.ts';

/** A batch of prepared images. */
export interface PreparedImages {
  /** The normalised pixels, float [batch, 3, height, width]. */
  readonly pixelValues: Tensor;
  /** False where a pixel is padding, boolean [batch, height, width]. */
  readonly validPixels: Tensor;
}

/**
 * Prepares images by the settings of one model. It holds an ONNX Runtime session until it is disposed of.
 * @example
 * await using preprocessor = await Preprocessor.create(source.preprocessing);
 * const { pixelValues } = await preprocessor.prepare([await readImage('photo.jpg')]);
 */
export class Preprocessor implements AsyncDisposable {
  readonly #session: Session;
  readonly #settings: Preprocessing;

  private constructor(session: Session, settings: Preprocessing) {
    this.#session = session;
    this.#settings = settings;
  }

  /**
   * Creates a preprocessor.
   * @param threads threads of ONNX Runtime; one for each core by default
   * @throws RuntimeError if ONNX Runtime cannot be loaded
   */
  static async create(settings: Preprocessing, threads?: number): Promise<Preprocessor> {
    const session = await Session.create(preprocessingGraph(settings), { threads }, 'the image preprocessing');
    return new Preprocessor(session, settings);
  }

  /**
   * Prepares images of any sizes as one batch. They are padded to the size that the settings state, or else to the largest
   * height and width.
   * @throws InputError if an image is larger than the stated size, or if images of different sizes may not be padded
   * @throws RuntimeError if there is not enough memory
   */
  async prepare(images: readonly Image[]): Promise<PreparedImages> {
    const sizes = images.map((image) => resizedSize(image, this.#settings.size));
    checkPadSize(images, sizes, this.#settings);
    const { height, width } = paddedSize(sizes, this.#settings);
    const plane = height * width;
    const { pixels, valid } = allocate(images.length, plane);
    for (const [index, image] of images.entries()) {
      const size = sizes[index] as Size; // one size per image
      const resized = resample(image, size, this.#settings.resample);
      using outputs = await this.#session.run({
        image: tensor(resized.pixels, [1, size.height, size.width, 3]),
        padding: integers([height - size.height, width - size.width], [2]),
      });
      pixels.set(floatData(outputs.get('prepared')), index * 3 * plane);
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

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close();
  }
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

function preprocessingGraph(settings: Preprocessing): Uint8Array {
  const b = new GraphBuilder('preprocessing');
  const image = b.input('image', DataType.UINT8, [1, 'height', 'width', 3]);
  const padding = b.input('padding', DataType.INT64, [2]);
  const normalised = normalizePixels(b, image, settings);
  const padded = b.padEnd(b.transpose(normalised, [0, 3, 1, 2]), padding, [2, 3]);
  b.output('prepared', padded, [1, 3, 'padded_height', 'padded_width']);
  return modelBytes(b.finish());
}
