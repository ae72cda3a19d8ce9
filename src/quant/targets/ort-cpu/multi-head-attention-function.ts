/**
 * `ai.dino8::MultiHeadAttention`: the attention of several heads to values of the same or of another sequence (Vaswani et al.
 * 2017, https://arxiv.org/abs/1706.03762), without the linear layers around it. dino8's library has a kernel that takes some
 * queries of a head at a time through all of it, so that no tensor of all queries and keys exists; the body computes the same
 * in separate operators.
 *
 * `ai.dino8::IntegerMultiHeadAttention` is the same with products of integers. The weights of keys are bytes as in byte-weights.ts.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, INTEGER_MULTI_HEAD_ATTENTION, MULTI_HEAD_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';
import { mixByBytes } from './byte-weights.ts';

/** The variants of the operator. */
export interface MultiHeadParts {
  /** Whether scores, and the sums of values that they weight, are products of integers. */
  readonly hasIntegers: boolean;
}

/** Returns the name of a variant. */
export const multiHeadOperator = ({ hasIntegers }: MultiHeadParts): string =>
  hasIntegers ? INTEGER_MULTI_HEAD_ATTENTION : MULTI_HEAD_ATTENTION;

/**
 * Defines the function of an operator. Its inputs:
 * - query [batch, queries, channels]: float or, with integers, uint8 and followed by its scale (float []) and zero point (uint8 [])
 * - key and value [batch, keys, channels], the same
 * - bias float [batch, heads, queries, keys], added to the scores; each dimension may be 1
 * - scale float []: the scores are multiplied by it before the bias is added
 * - heads int64 [1]: the number of heads, whose channels lie side by side
 *
 * Output y float [batch, queries, channels] = for each head softmax(query · keyᵀ · scale + bias) · value.
 */
export function multiHeadAttentionFunction(parts: MultiHeadParts): FunctionProto {
  const b = new GraphBuilder(multiHeadOperator(parts));
  const one = (operator: string, inputs: readonly Value[]) => b.call('', operator, inputs)[0] as Value; // one result
  const part = (name: string) => {
    const value = b.input(name, parts.hasIntegers ? DataType.UINT8 : DataType.FLOAT, [undefined, undefined, undefined]);
    if (!parts.hasIntegers) return value;
    const range = [b.input(`${name}_scale`, DataType.FLOAT, []), b.input(`${name}_zero_point`, DataType.UINT8, [])];
    return one('DequantizeLinear', [value, ...range]);
  };
  const [query, key, value] = [part('query'), part('key'), part('value')];
  const bias = b.input('bias', DataType.FLOAT, [undefined, undefined, undefined, undefined]);
  const scale = b.input('scale', DataType.FLOAT, []);
  const heads = b.input('heads', DataType.INT64, [1]);
  const byHead = (part: Value, order: number[]) => b.transpose(b.reshape(part, [0, 0, heads, -1]), order);
  const product = b.matmul(byHead(query, [0, 2, 1, 3]), byHead(key, [0, 2, 3, 1]));
  const scores = b.add(b.mul(product, scale), bias);
  const values = byHead(value, [0, 2, 1, 3]);
  const mixed = parts.hasIntegers ? mixByBytes(b, scores, values) : b.matmul(b.softmax(scores), values);
  b.output('y', b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1]));
  return b.finishFunction(DOMAIN);
}
