/**
 * Prepares pictures as an input of any model, by stated settings: they are resized to a fixed size as Pillow does, and a small
 * ONNX graph scales and normalises them and arranges them in the layout of the model.
 */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { copyTensor, type Tensor, tensor } from '../runtime/tensor.ts';
import type { Image } from './image.ts';
import { resample } from './resample.ts';
import type { Size } from './size.ts';

/** The layouts of an input: [batch, channels, height, width] and [batch, height, width, channels]. */
export const LAYOUTS = ['nchw', 'nhwc'] as const;
/** A layout of an input. */
export type Layout = (typeof LAYOUTS)[number];

/** The orders of the channels. */
export const CHANNEL_ORDERS = ['rgb', 'bgr'] as const;
/** The order of the channels that a model takes. */
export type ChannelOrder = (typeof CHANNEL_ORDERS)[number];

/** The settings of the preparation. A pixel p from 0 to 255 becomes (p · scale − mean) / std, for each channel. */
export interface ImageInputSettings {
  /** The size that every picture is stretched to, in pixels. */
  readonly size: Size;
  /** The mean of each channel, in the order that the model takes. */
  readonly mean: readonly [number, number, number];
  /** The standard deviation of each channel, in the order that the model takes; none may be 0. */
  readonly std: readonly [number, number, number];
  /** The factor of a pixel before normalisation, such as 1 / 255. */
  readonly scale: number;
  /** The layout of the input. */
  readonly layout: Layout;
  /** The order of the channels. */
  readonly channels: ChannelOrder;
  /** The element type of the input: FLOAT, FLOAT16, DOUBLE, UINT8 or INT8. Integers are rounded. */
  readonly type: DataType;
}

/** Pillow's number of the filter. */
const BILINEAR = 2;

/** Element types that pictures can be turned into. */
const TYPES = new Set([DataType.FLOAT, DataType.FLOAT16, DataType.DOUBLE, DataType.UINT8, DataType.INT8]);

/** Prepares one picture at a time. It holds an ONNX Runtime session until it is disposed of. */
export class ImageInput implements AsyncDisposable {
  readonly #session: Session;
  readonly #size: Size;

  private constructor(session: Session, size: Size) {
    this.#session = session;
    this.#size = size;
  }

  /** Creates the preparation. @throws InputError if pictures cannot be turned into the element type */
  static async create(settings: ImageInputSettings): Promise<ImageInput> {
    if (!TYPES.has(settings.type))
      throw new InputError(
        `Pictures cannot be turned into elements of type ${DataType[settings.type]}; give the inputs as arrays.`,
      );
    const session = await Session.create(imageInputGraph(settings), { threads: 1 }, 'the preparation of pictures');
    return new ImageInput(session, settings.size);
  }

  /** Prepares one picture: [1, 3, height, width] or [1, height, width, 3], by the layout. */
  async prepare(image: Image): Promise<Tensor> {
    const { height, width } = this.#size;
    const resized = resample(image, this.#size, BILINEAR);
    using outputs = await this.#session.run({
      image: tensor(resized.pixels, [1, height, width, 3]),
    });
    return copyTensor(outputs.get('input'));
  }

  /** Releases the session. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close();
  }
}

function imageInputGraph({ mean, std, scale, layout, channels, type }: ImageInputSettings): Uint8Array {
  const b = new GraphBuilder('image_input');
  const image = b.input('image', DataType.UINT8, [1, 'height', 'width', 3]);
  const ordered = channels === 'bgr' ? b.gather(image, b.integers(2, 1, 0), 3) : image; // [1, height, width, 3]
  const perChannel = (values: readonly number[]) => b.constant(Float32Array.from(values), [3]);
  const scaled = b.mul(b.cast(ordered, DataType.FLOAT), scale);
  const normalised = b.div(b.sub(scaled, perChannel(mean)), perChannel(std));
  const arranged = layout === 'nchw' ? b.transpose(normalised, [0, 3, 1, 2]) : normalised;
  const isInteger = type === DataType.UINT8 || type === DataType.INT8;
  const [low, high] = type === DataType.UINT8 ? [0, 255] : [-128, 127];
  b.output('input', b.cast(isInteger ? b.clip(b.round(arranged), low, high) : arranged, type), undefined);
  return modelBytes(b.finish());
}
