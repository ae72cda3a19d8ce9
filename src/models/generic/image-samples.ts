/** Samples from pictures, for models with one input that is a picture. */

import { createHash } from 'node:crypto';
import { checkValue, listOf, objectWith, text } from '../../base/check-options.ts';
import { UsageError } from '../../base/errors.ts';
import { readImage } from '../../data/image.ts';
import { ImageInput, type ImageInputSettings } from '../../data/image-input.ts';
import type { Size } from '../../data/size.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import type { Model } from '../../onnx/read.ts';
import type { TensorInfo } from '../../onnx/types.ts';
import type { SampleSource } from '../../quant/observe/sample.ts';
import { checkFeeds, chooseInput, describeShape, modelInputs } from './check-feeds.ts';
import { fileIdentity } from './file-identity.ts';

/** How pictures become the input of a model. What the model itself fixes need not be stated. */
export interface ImageSampleOptions extends Omit<ImageInputSettings, 'size' | 'type'> {
  /** The size that pictures are stretched to; needed unless the model has a fixed one. */
  readonly size?: Size | undefined;
  /** The input that is the picture; needed where the model has several. */
  readonly input?: string | undefined;
}

const pathsSchema = listOf('a list of paths', text);
const settingsSchema = objectWith(
  'an object with mean, std, scale, layout and channels',
  'mean',
  'std',
  'scale',
  'layout',
  'channels',
);

/**
 * Samples from pictures, each as a batch of one.
 *
 * @param paths pictures, in the order of the samples
 * @throws UsageError if the model's input is no picture of three channels in the stated layout, or its size is unknown
 * @example
 * const settings = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], scale: 1 / 255 } as const;
 * const samples = imageSamples(model, ['photos/1.jpg', 'photos/2.jpg'], {
 *   ...settings, layout: 'nchw', channels: 'rgb', size: { height: 640, width: 640 },
 * });
 */
export function imageSamples(model: Model, paths: readonly string[], options: ImageSampleOptions): SampleSource {
  checkValue('The paths', pathsSchema, paths);
  checkValue('The settings of pictures', settingsSchema, options);
  checkModelArgument(model);
  const inputs = modelInputs(model);
  const [name, info] = chooseInput(inputs, options.input);
  const others = [...inputs.keys()].filter((each) => each !== name);
  if (others.length > 0)
    throw new UsageError(
      `The model needs ${others.join(', ')} besides the picture ${name}; give its inputs as .npz files instead.`,
    );
  const settings: ImageInputSettings = { ...options, size: sizeOf(name, info, options), type: info.type };
  const hash = createHash('sha256').update(JSON.stringify({ name, ...settings }));
  for (const path of paths) hash.update(fileIdentity(path));
  return {
    total: paths.length,
    key: `pictures:${hash.digest('hex')}`,
    async *samples(accept = () => true) {
      await using preparation = await ImageInput.create(settings);
      for (const [place, path] of paths.entries()) {
        if (!accept(place)) continue;
        const tensor = await preparation.prepare(await readImage(path));
        yield { place, feeds: checkFeeds(new Map([[name, tensor]]), inputs, path), source: path };
      }
    },
  };
}

/** The size of the pictures, from the options or the model, which must not contradict each other. */
function sizeOf(name: string, { shape }: TensorInfo, { size, layout }: ImageSampleOptions): Size {
  const [channels, height, width] = (layout === 'nchw' ? [1, 2, 3] : [3, 1, 2]).map((axis) => shape?.[axis]);
  // Where the channels are not stated, a 3 on the axis of the other layout tells that the layouts were confused.
  const isOther = channels !== 3 && shape?.[layout === 'nchw' ? 3 : 1] === 3;
  const hasThree = typeof channels !== 'number' || channels === 3;
  const isPicture = shape === undefined || (shape.length === 4 && hasThree && !isOther);
  if (!isPicture)
    throw new UsageError(
      `The input ${name} ${describeShape(shape)} is no picture with three channels in the layout ${layout}; state the layout, or give the inputs as arrays.`,
    );
  if (size) {
    const fits = [
      [height, size.height],
      [width, size.width],
    ].every(([fixed, stated]) => typeof fixed !== 'number' || fixed === stated);
    if (!fits)
      throw new UsageError(
        `The input ${name} takes pictures of ${String(height ?? '?')}x${String(width ?? '?')}, not of the stated size ${size.height}x${size.width}.`,
      );
    return size;
  }
  if (typeof height !== 'number' || typeof width !== 'number')
    throw new UsageError(
      `The input ${name} ${describeShape(shape)} takes pictures of several sizes; state the size, such as 640x640.`,
    );
  return { height, width };
}
