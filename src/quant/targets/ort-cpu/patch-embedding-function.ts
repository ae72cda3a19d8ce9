/**
 * `ai.dino8::PatchEmbedding`: the beginning of a Swin Transformer (Liu et al. 2021, https://arxiv.org/abs/2103.14030, section
 * 3.1), which is a linear layer in integers of the numbers of a patch, and a layer normalization. dino8's library has a kernel that
 * finds the numbers of a patch in the image by index; the body is the same in separate operators.
 */
import { GraphBuilder } from '../../../onnx/builder.ts';
import { DOMAIN, PATCH_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';

/**
 * Defines the function. Its inputs:
 * - x float [batch, colours, height, width]
 * - the five inputs of the layer (integer-layer.ts)
 * - scale and bias [columns] of the layer normalization, whose `epsilon` is an attribute
 * - patch int64 [1]: the height and the width of a patch
 *
 * Output y float [batch, ⌈height / patch⌉, ⌈width / patch⌉, columns]. The layer reads the numbers [colours, patch, patch] of a
 * patch, and zeros behind the last row or column of an image of another size than whole patches.
 */
export function patchEmbeddingFunction(): FunctionProto {
  const b = new GraphBuilder(PATCH_EMBEDDING);
  const x = b.input('x', DataType.FLOAT, ['batch', 'colours', 'height', 'width']);
  const layer = layerInputs(b, 'layer');
  const vector = (name: string) => b.input(name, DataType.FLOAT, [undefined]);
  const [normScale, normBias] = [vector('norm_scale'), vector('norm_bias')];
  const patch = b.input('patch', DataType.INT64, [1]);

  const size = b.shapeOf(x, 2, 4);
  const rest = b.mod(b.sub(b.integers(0), size), patch);
  const counts = b.div(b.add(size, rest), patch);
  const [rows, columns] = [b.slice(counts, [0], [1], [0]), b.slice(counts, [1], [2], [0])];
  const colours = b.dimension(x, 1);
  const bytes = quantizeFor(b, b.padEnd(x, rest, [2, 3]), layer);
  const cut = b.transpose(b.reshape(bytes, [0, colours, rows, patch, columns, patch]), [0, 2, 4, 1, 3, 5]);
  const patches = b.reshape(cut, [0, rows, columns, b.mul(colours, b.mul(patch, patch))]);
  b.output('y', b.layerNormalization(linearLayer(b, patches, layer), normScale, normBias, 0));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}
