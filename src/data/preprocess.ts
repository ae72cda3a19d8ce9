/** The preparation of images by ONNX Runtime in Node.js: a small ONNX graph scales, normalises and pads the pixels. */
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import type { Image } from './image.ts';
import { normalizePixels } from './normalize-pixels.ts';
import { NORMALIZATION, type PreparedImages, prepareImages } from './prepare-images.ts';
import type { Preprocessing } from './preprocessing.ts';

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
  prepare(images: readonly Image[]): Promise<PreparedImages> {
    return prepareImages(images, this.#settings, this.#session);
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close();
  }
}

/** The model that scales and normalises pixels, arranges them with the channels first, and pads them on the right and at the bottom. */
export function preprocessingGraph(settings: Preprocessing): Uint8Array {
  const b = new GraphBuilder('preprocessing');
  const image = b.input(NORMALIZATION.image, DataType.UINT8, [1, 'height', 'width', 3]);
  const padding = b.input(NORMALIZATION.padding, DataType.INT64, [2]);
  const normalised = normalizePixels(b, image, settings);
  const padded = b.padEnd(b.transpose(normalised, [0, 3, 1, 2]), padding, [2, 3]);
  b.output(NORMALIZATION.result, padded, [1, 3, 'padded_height', 'padded_width']);
  return modelBytes(b.finish());
}
