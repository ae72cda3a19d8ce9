/**
 * The weights of attention in 8 bits. They are bytes relative to the largest one of a query, round(255 · e^(score − highest
 * score)), and are divided by their sum behind the product with the values: so 8 bits represent them well however many keys there
 * are, and no range has to be measured.
 */
import type { GraphBuilder, Value } from '../../../onnx/builder.ts';

/**
 * Adds the nodes of softmax(scores) · values with such weights.
 *
 * @param scores - float [..., queries, keys]
 * @param values - float [..., keys, channels]
 * @returns float [..., queries, channels]
 */
export function mixByBytes(b: GraphBuilder, scores: Value, values: Value): Value {
  const one = (operator: string, inputs: readonly Value[]) => b.call('', operator, inputs)[0] as Value; // one result
  const range = [b.constant(Float32Array.of(1 / 255), []), b.constant(Uint8Array.of(0), [])];
  const exponentials = b.exp(b.sub(scores, b.reduceMax(scores, [-1])));
  const weights = one('DequantizeLinear', [one('QuantizeLinear', [exponentials, ...range]), ...range]);
  return b.div(b.matmul(weights, values), b.reduceSum(weights, [-1]));
}
