/**
 * `ai.dino8::ProposalScores`: the score of each position of an encoded image as a proposal of a box, which is the highest similarity
 * of its features with a token (https://arxiv.org/abs/2303.05499, section 3.3). dino8's library has a kernel for which neither the
 * features nor the similarities of all positions are in memory at a time. The body is the same in separate operators.
 */
import { GraphBuilder } from '../../../onnx/builder.ts';
import { DOMAIN, PROPOSAL_SCORES } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';

/**
 * Defines the function. Its inputs:
 * - x float [batch, positions, depth]
 * - valid boolean [batch, positions, 1]: a row of x that is not valid counts as zeros
 * - the five inputs of the layer (integer-layer.ts), which has `width` columns
 * - scale and bias of the normalization of its result, float [width]; its `epsilon` is an attribute
 * - text float [batch, width, tokens]
 * - mask float [batch, 1, tokens], added to the similarities
 *
 * Any batch may be 1, and is then used for all images. Output scores float [batch, positions]: the maximum over the tokens of
 * LayerNormalization(layer(x)) · text + mask.
 */
export function proposalScoresFunction(): FunctionProto {
  const b = new GraphBuilder(PROPOSAL_SCORES);
  const x = b.input('x', DataType.FLOAT, [undefined, undefined, undefined]);
  const valid = b.input('valid', DataType.BOOL, [undefined, undefined, 1]);
  const layer = layerInputs(b, 'layer');
  const normScale = b.input('norm_scale', DataType.FLOAT, [undefined]);
  const normBias = b.input('norm_bias', DataType.FLOAT, [undefined]);
  const text = b.input('text', DataType.FLOAT, [undefined, undefined, undefined]);
  const mask = b.input('mask', DataType.FLOAT, [undefined, 1, undefined]);
  const y = linearLayer(b, quantizeFor(b, b.where(valid, x, 0), layer), layer);
  const features = b.layerNormalization(y, normScale, normBias, 0); // [batch, positions, width]
  b.output('scores', b.reduceMax(b.add(b.matmul(features, text), mask), [2], false));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}
