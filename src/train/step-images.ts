/** The first nodes of a training step: images as bytes become the pixels and the mask that the network takes. */
import { normalizePixels } from '../data/normalize-pixels.ts';
import type { Preprocessing } from '../data/preprocessing.ts';
import type { Size } from '../data/size.ts';
import type { InputSize } from '../models/specialize.ts';
import type { TrainingFamily } from '../models/training-family.ts';
import { GraphBuilder } from '../onnx/builder.ts';
import type { Model } from '../onnx/read.ts';
import { DataType } from '../onnx/types.ts';
import { STEP_INPUTS } from './step-names.ts';

/**
 * Replaces the inputs for normalised pixels and their mask by images as bytes, each in the upper left corner of a canvas,
 * and their sizes. A batch as bytes takes a quarter of the memory, and the graph normalises it in parallel.
 * @param model is changed and returned
 */
export function takeImages(
  model: Model,
  { batch, height, width }: Size & Pick<InputSize, 'batch'>,
  preprocessing: Preprocessing,
  { pixels, pixelMask }: TrainingFamily['inputs'],
): Model {
  model.graph.input = model.graph.input.filter(({ name }) => name !== pixels && name !== pixelMask);
  const b = new GraphBuilder(model.graph.name);
  b.scope('images', () => {
    const images = b.input(STEP_INPUTS.images, DataType.UINT8, [batch, height, width, 3]);
    const sizes = b.input(STEP_INPUTS.imageSizes, DataType.INT64, [batch, 2]);
    /** True for the places along one side that belong to the image, [batch, length]. */
    const within = (axis: 0 | 1, length: number) => {
      const places = b.constant(
        BigInt64Array.from({ length }, (_, place) => BigInt(place)),
        [length],
      );
      return b.less(places, b.slice(sizes, [axis], [axis + 1], [1]));
    };
    const valid = b.and(b.unsqueeze(within(0, height), [2]), b.unsqueeze(within(1, width), [1])); // [batch, height, width]
    const shown = b.where(b.unsqueeze(valid, [3]), normalizePixels(b, images, preprocessing), 0);
    b.named(pixels, b.transpose(shown, [0, 3, 1, 2]));
    b.named(pixelMask, b.cast(valid, DataType.INT64));
  });
  return prepend(b.finish(), model);
}

/** Puts the nodes and inputs of `first` before those of `model`, which is changed and returned. */
function prepend(first: Model, model: Model): Model {
  const { graph } = model;
  const renamed = new Map(first.graph.initializer.map(({ name }) => [name, `images.${name}`]));
  for (const node of first.graph.node) node.input = node.input.map((name) => renamed.get(name) ?? name);
  for (const tensor of first.graph.initializer) tensor.name = renamed.get(tensor.name) ?? tensor.name;
  graph.node = [...first.graph.node, ...graph.node];
  graph.initializer = [...first.graph.initializer, ...graph.initializer];
  graph.input = [...first.graph.input, ...graph.input];
  return model;
}
