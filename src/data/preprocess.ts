/**
 * Prepares images as the input of a detector, in one small ONNX graph: they are resized as Pillow does (ONNX Runtime's
 * antialiased `Resize` is the same triangle filter in the same 8-bit arithmetic), normalised, arranged with the channels
 * first, and padded on the right and at the bottom.
 */
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { booleans, floatData, floats, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import type { Image } from './image.ts';
import { normalizePixels } from './normalize-pixels.ts';
import type { Preprocessing } from './preprocessing.ts';
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
   * Prepares images of any sizes as one batch, padded to the largest height and width.
   * @throws RuntimeError if there is not enough memory
   */
  async prepare(images: readonly Image[]): Promise<PreparedImages> {
    const { shortest_edge: shortest, longest_edge: longest } = this.#settings.size;
    const sizes = images.map((image) => resizedSize(image, shortest, longest));
    const height = Math.max(...sizes.map((size) => size.height));
    const width = Math.max(...sizes.map((size) => size.width));
    const plane = height * width;
    const pixels = new Float32Array(images.length * 3 * plane);
    const valid = new Uint8Array(images.length * plane);
    for (const [index, image] of images.entries()) {
      const size = sizes[index] as Size; // one size per image
      using outputs = await this.#session.run({
        image: tensor(image.pixels, [1, image.height, image.width, 3]),
        size: integers([1, size.height, size.width, 3], [4]),
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

function preprocessingGraph(settings: Preprocessing): Uint8Array {
  const b = new GraphBuilder('preprocessing');
  const image = b.input('image', DataType.UINT8, [1, 'height', 'width', 3]);
  const size = b.input('size', DataType.INT64, [4]);
  const padding = b.input('padding', DataType.INT64, [2]);
  const resized = b.resizeAntialiased(image, size);
  const normalised = normalizePixels(b, resized, settings);
  const padded = b.padEnd(b.transpose(normalised, [0, 3, 1, 2]), padding, [2, 3]);
  b.output('prepared', padded, [1, 3, 'padded_height', 'padded_width']);
  return modelBytes(b.finish());
}
