/**
 * The operator of `ai.dino8` that is the end of a transformer's layer: the output projection of an attention with a residual sum
 * and a layer normalization (IntegerLinearAddNorm), then feed-forward layers that read the result and are added to it
 * (FeedForwardAddNorm). dino8's library has a kernel that takes some rows at a time through all three layers; the body is the
 * same in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, PROJECTION_FEED_FORWARD } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { referToEpsilon } from './epsilon.ts';
import { layerInputs, linearLayer, quantizeFor } from './integer-layer.ts';

/** The place of the residual among the inputs. */
export const RESIDUAL = 6;

/**
 * Defines the function. Its inputs:
 * - x [..., depth] uint8, and the five inputs of the projection's layer (integer-layer.ts)
 * - the residual [..., columns], and scale and bias [columns] of the normalization
 * - the inputs of the two feed-forward layers, columns → hidden → columns
 * - scale and bias [columns] of the normalization at the end
 *
 * Both normalizations have the attribute `epsilon`. Output y float [..., columns].
 */
export function projectionFeedForwardFunction(): FunctionProto {
  const b = new GraphBuilder(PROJECTION_FEED_FORWARD);
  const x = b.input('x', DataType.UINT8, []);
  const number = (name: string) => b.input(name, DataType.FLOAT, []);
  const projection = layerInputs(b, 'projection');
  const residual = number('residual');
  const [scale, bias] = [number('norm_scale'), number('norm_bias')];
  const [first, second] = [layerInputs(b, 'first'), layerInputs(b, 'second')];
  const [finalScale, finalBias] = [number('final_norm_scale'), number('final_norm_bias')];
  const apply = (value: Value, layer: typeof first) => linearLayer(b, quantizeFor(b, value, layer), layer);
  const middle = b.layerNormalization(b.add(residual, linearLayer(b, x, projection)), scale, bias, 0);
  const sum = b.add(middle, apply(apply(middle, first), second));
  b.output('y', b.layerNormalization(sum, finalScale, finalBias, 0));
  return referToEpsilon(b.finishFunction(DOMAIN, ['epsilon']));
}
