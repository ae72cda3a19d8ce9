/**
 * A linear layer in integers within the body of a function. Its five inputs are the scale (float) and zero point (uint8) of the bytes
 * that it reads; its weight, int8 in panels (packed-weight.ts); the scale of the weight, float [] or [columns]; its bias, float [columns].
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';
import { DataType } from '../../../onnx/types.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { unpackWeight } from './packed-weight.ts';

/** A layer among the inputs of a function. */
export interface LayerValues {
  /** Scale and zero point of the bytes that the layer reads. */
  readonly range: readonly [scale: Value, zeroPoint: Value];
  readonly weight: Value;
  readonly scale: Value;
  readonly bias: Value;
}

/** Adds the five inputs of a layer to a function. Returns them. */
export function layerInputs(b: GraphBuilder, name: string): LayerValues {
  return {
    range: [
      b.input(`${name}_input_scale`, DataType.FLOAT, []),
      b.input(`${name}_input_zero_point`, DataType.UINT8, []),
    ],
    weight: b.input(`${name}_weight`, DataType.INT8, [undefined, undefined, undefined, undefined]),
    scale: b.input(`${name}_scale`, DataType.FLOAT, []),
    bias: b.input(`${name}_bias`, DataType.FLOAT, [undefined]),
  };
}

/** The bytes of a value that a layer reads. */
export const quantizeFor = (b: GraphBuilder, value: Value, { range }: LayerValues): Value =>
  b.call('', 'QuantizeLinear', [value, ...range])[0] as Value; // one result

/** A layer in integers, applied to bytes. */
export function linearLayer(b: GraphBuilder, bytes: Value, layer: LayerValues): Value {
  const { range, weight, scale, bias } = layer;
  const [aScale, aZero] = range;
  const zero = b.constant(Int8Array.of(0), []);
  const inputs = [bytes, unpackWeight(b, weight, bias), aScale, scale, aZero, zero, bias];
  return b.call(CONTRIB, INTEGER_PRODUCT, inputs)[0] as Value; // one result
}
