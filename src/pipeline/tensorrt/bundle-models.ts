/** The models of a bundle: for one size of image, or for any, in the form that a version of TensorRT takes. */
import type { Preprocessing } from '../../data/preprocessing.ts';
import type { Size } from '../../data/size.ts';
import { sizesOf } from '../../models/family.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { FILES } from '../../models/package/package-folder.ts';
import { specialize } from '../../models/specialize.ts';
import { lowerModel } from '../../onnx/lower/lower.ts';
import { UniqueNames } from '../../onnx/lower/unique-names.ts';
import { setMetadata } from '../../onnx/metadata.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { storeFloatWeights } from '../../quant/targets/tensorrt/float-weights.ts';
import type { TensorRtVersion } from '../../quant/targets/tensorrt/versions.ts';

/** The newest version of the operators that every version of TensorRT takes with GridSample's modes as it reads them. */
const OPSET = 17;

/** The settings by which a picture of any size becomes the input of an engine: it is stretched to the engine's size. */
export function stretchedTo(size: Size, { preprocessing }: ModelPackage): Preprocessing {
  return { ...preprocessing, do_resize: true, size, pad_size: undefined };
}

/**
 * A model for images of one size.
 * @param source a model for fixed phrases
 */
export async function modelOfSize(source: ModelPackage, size: Size, version: TensorRtVersion): Promise<ModelPackage> {
  const model = await specialize(source.model, { batch: 1, ...size }, sizesOf(source));
  await finish(model, version, source.source);
  const preprocessing = stretchedTo(size, source);
  // So that `detect` prepares pictures for it as the scripts of the bundle do.
  setMetadata(model, FILES.preprocessing[1], JSON.stringify(preprocessing));
  return { ...source, model, preprocessing };
}

/**
 * A model for one image of any size, all of whose pixels count.
 * @param source a model for fixed phrases
 */
export async function modelOfAnySize(source: ModelPackage, version: TensorRtVersion): Promise<ModelPackage> {
  const rules = sizesOf(source);
  const model = await specialize(source.model, { batch: 1 }, rules);
  countAllPixels(model, rules.validPixels);
  await finish(model, version, source.source);
  return { ...source, model };
}

async function finish(model: Model, version: TensorRtVersion, source: string): Promise<void> {
  lowerModel(model, { opset: OPSET, layerNormalization: version.layerNormalization }, source);
  if (!version.integerWeights) await storeFloatWeights(model);
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
