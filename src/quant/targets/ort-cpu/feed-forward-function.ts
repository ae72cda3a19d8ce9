/**
 * `ai.dino8::FeedForward` and `ai.dino8::FeedForwardGelu`: two linear layers in integers, one after the other, as the
 * feed-forward blocks of transformers have them. dino8's library has a kernel that takes blocks of rows through both layers,
 * so that what is between them never leaves the processor's caches; the body is the same in standard operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, type FEED_FORWARD, FEED_FORWARD_GELU } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { unpackWeight } from './packed-weight.ts';

/** What is between the two layers, beside the quantization. */
export type FeedForwardOperator = typeof FEED_FORWARD | typeof FEED_FORWARD_GELU;

/**
 * Defines one of the functions. Its inputs:
 * - x float [..., depth], and the scale (float) and zero point (uint8) that it is quantized with
 * - first_weight int8 in panels (packed-weight.ts), first_scale float [] or [hidden], first_bias float [hidden]
 * - hidden_scale and hidden_zero_point, with which the results of the first layer are quantized
 * - second_weight, second_scale, second_bias [columns]
 *
 * Output y float [..., columns].
 */
export function feedForwardFunction(operator: FeedForwardOperator): FunctionProto {
  const b = new GraphBuilder(operator);
  const x = b.input('x', DataType.FLOAT, []);
  const range = (name: string) => [
    b.input(`${name}_scale`, DataType.FLOAT, []),
    b.input(`${name}_zero_point`, DataType.UINT8, []),
  ];
  const layer = (name: string) => ({
    weight: b.input(`${name}_weight`, DataType.INT8, [undefined, undefined, undefined, undefined]),
    scale: b.input(`${name}_scale`, DataType.FLOAT, []),
    bias: b.input(`${name}_bias`, DataType.FLOAT, [undefined]),
  });
  const xRange = range('x');
  const first = layer('first');
  const hiddenRange = range('hidden');
  const second = layer('second');
  const zero = b.constant(Int8Array.of(0), []);
  const apply = (value: Value, affine: readonly Value[], { weight, scale, bias }: typeof first) => {
    const [bytes] = b.call('', 'QuantizeLinear', [value, ...affine]);
    const [aScale, aZeroPoint] = affine as [Value, Value];
    const inputs = [bytes as Value, unpackWeight(b, weight, bias), aScale, scale, aZeroPoint, zero, bias];
    const [product] = b.call(CONTRIB, INTEGER_PRODUCT, inputs);
    return product as Value; // operators with one result
  };
  const hidden = apply(x, xRange, first);
  b.output('y', apply(operator === FEED_FORWARD_GELU ? b.gelu(hidden) : hidden, hiddenRange, second));
  return b.finishFunction(DOMAIN);
}
