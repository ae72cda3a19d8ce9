/**
 * `ai.dino8::PatchMerging`: the merging of patches between the stages of a Swin Transformer (Liu et al. 2021,
 * https://arxiv.org/abs/2103.14030, section 3.1), which is a layer normalization and a linear layer in integers of four
 * neighbours. dino8's library has a kernel that finds the neighbours in the map by index; the body is the same in separate
 * operators.
 */
import { GraphBuilder } from '../../../onnx/builder.ts';
import { DOMAIN, PATCH_MERGING } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';

/**
 * Defines the function. Its inputs:
 * - x float [batch, height, width, channels]
 * - the five inputs of the layer (integer-layer.ts)
 * - scale and bias [4 · channels] of the layer normalization, whose `epsilon` is an attribute
 *
 * Output y float [batch, ⌈height / 2⌉, ⌈width / 2⌉, columns]. The layer reads the left two of the neighbours, then the right two,
 * the upper one before the lower one, and zeros behind the last row or column of a map of an odd size.
 */
export function patchMergingFunction(): FunctionProto {
  const b = new GraphBuilder(PATCH_MERGING);
  const x = b.input('x', DataType.FLOAT, ['batch', 'height', 'width', 'channels']);
  const layer = layerInputs(b, 'layer');
  const vector = (name: string) => b.input(name, DataType.FLOAT, [undefined]);
  const [normScale, normBias] = [vector('norm_scale'), vector('norm_bias')];

  const size = b.shapeOf(x, 1, 3);
  const even = b.padEnd(x, b.mod(size, b.integers(2)), [1, 2]);
  const halves = b.div(b.add(size, b.integers(1)), b.integers(2));
  const [rows, columns] = [b.slice(halves, [0], [1], [0]), b.slice(halves, [1], [2], [0])];
  const pairs = b.reshape(even, [0, rows, 2, columns, 2, b.dimension(x, 3)]);
  const joined = b.reshape(b.transpose(pairs, [0, 1, 3, 4, 2, 5]), [0, rows, columns, b.shapeOf(normScale)]);
  const normalized = b.layerNormalization(joined, normScale, normBias, 0);
  b.output('y', linearLayer(b, quantizeFor(b, normalized, layer), layer));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}
