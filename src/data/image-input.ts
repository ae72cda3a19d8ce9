/**
 * Pictures → one float or 8-bit input of any model, by stated settings, as one small ONNX graph: resized to a fixed size as
 * PIL does, scaled, normalised, and arranged as the model takes it.
 */
import { InputError } from '../base/errors.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import { DataType } from '../onnx/types.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from '../runtime/session.ts';
import { copyTensor, integers, type Tensor, tensor } from '../runtime/tensor.ts';
import type { Image } from './image.ts';
import type { Size } from './size.ts';

/** Where the channels are: [batch, channels, height, width] or [batch, height, width, channels]. */
export const LAYOUTS = ['nchw', 'nhwc'] as const;
export type Layout = (typeof LAYOUTS)[number];

/** The order of the channels that the model takes. */
export const CHANNEL_ORDERS = ['rgb', 'bgr'] as const;
export type ChannelOrder = (typeof CHANNEL_ORDERS)[number];

/** How a pixel p of 0 … 255 becomes a number of the input: (p · scale − mean) / std, for each channel. */
export interface ImageInputSettings {
  /** The size that every picture is stretched to, in pixels. */
  readonly size: Size;
  /** In the order of the channels that the model takes. */
  readonly mean: readonly [number, number, number];
  /** In the order of the channels that the model takes; none may be 0. */
  readonly std: readonly [number, number, number];
  readonly scale: number;
  readonly layout: Layout;
  readonly channels: ChannelOrder;
  /** The element type of the input: FLOAT, FLOAT16, DOUBLE, UINT8 or INT8. Integers are rounded. */
  readonly type: DataType;
}

/** Element types that pictures can be turned into. */
const TYPES = new Set([DataType.FLOAT, DataType.FLOAT16, DataType.DOUBLE, DataType.UINT8, DataType.INT8]);

/** Prepares one picture at a time; holds an ONNX Runtime session until it is disposed of. */
export class ImageInput implements AsyncDisposable {
  readonly #session: Session;
  readonly #size: Size;

  private constructor(session: Session, size: Size) {
    this.#session = session;
    this.#size = size;
  }

  /** @throws InputError if pictures cannot be turned into the element type */
  static async create(settings: ImageInputSettings): Promise<ImageInput> {
    if (!TYPES.has(settings.type))
      throw new InputError(
        `Pictures cannot be turned into elements of type ${DataType[settings.type]}; give the inputs as arrays.`,
      );
    const session = await Session.create(imageInputGraph(settings), { threads: 1 }, 'the preparation of pictures');
    return new ImageInput(session, settings.size);
  }

  /** Returns [1, 3, height, width] or [1, height, width, 3]. */
  async prepare(image: Image): Promise<Tensor> {
    const { height, width } = this.#size;
    using outputs = await this.#session.run({
      image: tensor(image.pixels, [1, image.height, image.width, 3]),
      size: integers([1, height, width, 3], [4]),
    });
    return copyTensor(outputs.get('input'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session.close();
  }
}

function imageInputGraph({ mean, std, scale, layout, channels, type }: ImageInputSettings): Uint8Array {
  const b = new GraphBuilder('image_input');
  const image = b.input('image', DataType.UINT8, [1, 'height', 'width', 3]);
  const size = b.input('size', DataType.INT64, [4]);
  const resized = b.resizeAntialiased(image, size); // [1, height, width, 3]
  const ordered = channels === 'bgr' ? b.gather(resized, b.integers(2, 1, 0), 3) : resized;
  const perChannel = (values: readonly number[]) => b.constant(Float32Array.from(values), [3]);
  const scaled = b.mul(b.cast(ordered, DataType.FLOAT), scale);
  const normalised = b.div(b.sub(scaled, perChannel(mean)), perChannel(std));
  const arranged = layout === 'nchw' ? b.transpose(normalised, [0, 3, 1, 2]) : normalised;
  const isInteger = type === DataType.UINT8 || type === DataType.INT8;
  const [low, high] = type === DataType.UINT8 ? [0, 255] : [-128, 127];
  b.output('input', b.cast(isInteger ? b.clip(b.round(arranged), low, high) : arranged, type), undefined);
  return modelBytes(b.finish());
}
