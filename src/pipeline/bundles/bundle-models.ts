/** The models of a bundle: for one size of image, or for any. */
import type { Preprocessing } from '../../data/preprocessing.ts';
import type { Size } from '../../data/size.ts';
import { detectionOf, sizesOf } from '../../models/family.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { FILES } from '../../models/package/package-folder.ts';
import { specialize } from '../../models/specialize.ts';
import { copyModel } from '../../onnx/copy.ts';
import { raiseOpset } from '../../onnx/import/raise-opset.ts';
import { lowerModel, type PortableForm } from '../../onnx/lower/lower.ts';
import { UniqueNames } from '../../onnx/lower/unique-names.ts';
import { setMetadata } from '../../onnx/metadata.ts';
import { standardVersion } from '../../onnx/opset.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';

/** The settings by which a picture of any size becomes the input of an engine: it is stretched to the engine's size. */
export function stretchedTo(size: Size, { preprocessing }: ModelPackage): Preprocessing {
  return { ...preprocessing, do_resize: true, size, pad_size: undefined };
}

/**
 * The form of a model from which those of all sizes are made: without functions, so that what depends on the size alone becomes
 * constant inside of them too.
 *
 * @param source a model for fixed phrases, or for any
 */
export function portableForm(
  source: ModelPackage,
  { opset, layerNormalization, shapeParts }: PortableForm,
): ModelPackage {
  const model = copyModel(source.model);
  // A quantized model has an older version, which is raised to the newest and lowered again.
  if (standardVersion(model) < opset) raiseOpset(model, source.source);
  lowerModel(model, { opset, layerNormalization, shapeParts }, source.source);
  return { ...source, model };
}

/**
 * A model for images of one size.
 * @param source what `portableForm` returned
 * @param tokens the length of prompts, for a model that takes any phrases: the result is then its half `detect`
 */
export async function modelOfSize(source: ModelPackage, size: Size, tokens?: number): Promise<ModelPackage> {
  const model = await detectionPart(source, size, tokens);
  const preprocessing = stretchedTo(size, source);
  // So that `detect` prepares pictures for it as the scripts of the bundle do.
  setMetadata(model, FILES.preprocessing[1], JSON.stringify(preprocessing));
  return { ...source, model, preprocessing };
}

/**
 * A model for one image of any size, all of whose pixels count.
 * @param source what `portableForm` returned
 * @param tokens as for `modelOfSize`
 */
export async function modelOfAnySize(source: ModelPackage, tokens?: number): Promise<ModelPackage> {
  const model = await detectionPart(source, {}, tokens);
  countAllPixels(model, sizesOf(source).validPixels);
  return { ...source, model };
}

/**
 * The text encoder of a model that takes any phrases.
 * @param source what `portableForm` returned
 * @param tokens the length of prompts
 */
export async function textModel(source: ModelPackage, tokens: number): Promise<ModelPackage> {
  const model = await specialize(source.model, { batch: 1, textLength: tokens }, sizesOf(source));
  return { ...source, model: detectionOf(source).extractHalf(model, 'text') };
}

/** What runs once for each image. */
async function detectionPart(source: ModelPackage, size: Partial<Size>, tokens: number | undefined): Promise<Model> {
  const model = await specialize(source.model, { batch: 1, ...size, textLength: tokens }, sizesOf(source));
  return tokens === undefined ? model : detectionOf(source).extractHalf(model, 'detect');
}

/** Makes the mask of pixels that count from the size of the image, in place of the input. */
function countAllPixels({ graph }: Model, mask: string): void {
  graph.input = graph.input.filter(({ name }) => name !== mask);
  const [image] = graph.input;
  if (!image) throw new Error('a detector takes an image');
  const names = UniqueNames.of(graph);
  const [shape, sides, size, yes] = ['shape', 'sides', 'size', 'true'].map((part) => names.take(`${mask}.${part}`)) as [
    string,
    string,
    string,
    string,
  ]; // as many as names
  graph.initializer.push(
    makeTensor(sides, [3], BigInt64Array.of(0n, 2n, 3n)),
    makeTensor(yes, [1], Uint8Array.of(1), DataType.BOOL),
  );
  graph.node.unshift(
    makeNode('Shape', `${mask}/Shape`, [image.name], [shape]),
    makeNode('Gather', `${mask}/Gather`, [shape, sides], [size], { axis: 0 }),
    makeNode('Expand', `${mask}/Expand`, [yes, size], [mask]),
  );
}
