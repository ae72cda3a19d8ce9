/**
 * `ai.dino8::FusionAttention`: attention between an image and a text in both directions, from one matrix of scores. dino8's
 * library has a kernel that takes some positions at a time through all of it, so that no tensor of all positions and tokens
 * exists; the body computes the same in separate operators, except that the weights of positions are floats.
 *
 * `ai.dino8::NormFusionAttentionAdd` is the same with the layer normalization of the image before it and the sum of the
 * normalized image and the result behind it.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, FUSION_ATTENTION, NORM_FUSION_ATTENTION_ADD } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';

/** What an operator contains beside the attention. */
export interface FusionParts {
  /** Whether x is normalized first, and the normalized x added to the image's result. */
  readonly hasNorm: boolean;
}

/** Returns the operator that has these parts. */
const fusionOperator = ({ hasNorm }: FusionParts): string => (hasNorm ? NORM_FUSION_ATTENTION_ADD : FUSION_ATTENTION);

/**
 * Defines the function of an operator. Each `_scale` (float) and `_zero_point` is that of the integers before them. Inputs:
 * - x uint8 [batch, positions, width], or float with a norm, whose result is quantized first; x_scale, x_zero_point
 * - to_scores int8 [batch, width, heads · tokens], to_scores_scale, to_scores_zero_point
 * - token_bias float [batch, 1, heads, tokens]: added to the scores that the image reads; padded tokens have a very low one
 * - position_bias float [batch, 1, positions]: added to the scores that the text reads; padded positions have a very low one
 * - weight_scale, weight_zero_point (uint8): with these the image's weights of tokens are quantized
 * - to_image int8 [batch, heads · tokens, width], to_image_scale, to_image_zero_point
 * - image_bias float [width]
 * - with a norm: its scale and bias, float [width]; its `epsilon` is an attribute
 *
 * Any batch may be 1, and is then used for all images. Outputs:
 * - image float [batch, positions, width] = softmax over the tokens of each head (scores + token_bias) · to_image + image_bias,
 *   and the normalized x
 * - text float [batch, heads · tokens, width] = softmax over positions (scoresᵀ + position_bias) · x
 */
export function fusionFunction(parts: FusionParts): FunctionProto {
  const b = new GraphBuilder(fusionOperator(parts));
  const range = (name: string, type: DataType) =>
    [b.input(`${name}_scale`, DataType.FLOAT, []), b.input(`${name}_zero_point`, type, [])] as const;
  const matrix = (name: string, type: DataType) => b.input(name, type, [undefined, undefined, undefined]);
  const bytes = (name: string) => [matrix(name, DataType.INT8), ...range(name, DataType.INT8)] as const;
  const one = (operator: string, inputs: readonly Value[]) => b.call('', operator, inputs)[0] as Value; // one result
  const rows = matrix('x', parts.hasNorm ? DataType.FLOAT : DataType.UINT8);
  const xRange = range('x', DataType.UINT8);
  const toScores = one('DequantizeLinear', bytes('to_scores'));
  const tokenBias = b.input('token_bias', DataType.FLOAT, [undefined, 1, undefined, undefined]);
  const positionBias = b.input('position_bias', DataType.FLOAT, [undefined, 1, undefined]);
  const weightRange = range('weight', DataType.UINT8);
  const toImage = one('DequantizeLinear', bytes('to_image'));
  const imageBias = b.input('image_bias', DataType.FLOAT, [undefined]);

  const norm = parts.hasNorm
    ? (['scale', 'bias'] as const).map((name) => b.input(`norm_${name}`, DataType.FLOAT, [undefined]))
    : [];
  const [normScale, normBias] = norm;
  const normalized = normScale && normBias && b.layerNormalization(rows, normScale, normBias, 0);
  const xBytes = normalized ? one('QuantizeLinear', [normalized, ...xRange]) : rows;
  const x = one('DequantizeLinear', [xBytes, ...xRange]);

  const scores = b.matmul(x, toScores); // [batch, positions, heads · tokens]
  const byHead = b.reshape(scores, [0, 0, b.dimension(tokenBias, 2), -1]);
  const overTokens = one('QuantizeLinear', [b.softmax(b.add(byHead, tokenBias)), ...weightRange]);
  const weights = one('DequantizeLinear', [b.reshape(overTokens, [0, 0, -1]), ...weightRange]);
  const image = b.add(b.matmul(weights, toImage), imageBias);
  b.output('image', normalized ? b.add(normalized, image) : image);
  const overPositions = b.softmax(b.add(b.transpose(scores, [0, 2, 1]), positionBias));
  b.output('text', b.matmul(overPositions, x));
  return referToEpsilon(b.finishFunction(DOMAIN, parts.hasNorm ? ['epsilon'] : []));
}
