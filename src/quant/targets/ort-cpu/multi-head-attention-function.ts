/**
 * `ai.dino8::MultiHeadAttention`: the attention of several heads to values of the same or of another sequence (Vaswani et al.
 * 2017, https://arxiv.org/abs/1706.03762), without the linear layers around it. dino8's library has a kernel that takes some
 * queries of a head at a time through all of it, so that no tensor of all queries and keys exists; the body computes the same
 * in separate operators.
 */
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { DOMAIN, MULTI_HEAD_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { DataType, type FunctionProto } from '../../../onnx/types.ts';

/**
 * Defines the function. Its inputs:
 * - query float [batch, queries, channels]
 * - key and value float [batch, keys, channels]
 * - bias float [batch, heads, queries, keys], added to the scores; each dimension may be 1
 * - scale float []: the scores are multiplied by it before the bias is added
 * - heads int64 [1]: the number of heads, whose channels lie side by side
 *
 * Output y float [batch, queries, channels] = for each head softmax(query · keyᵀ · scale + bias) · value.
 */
export function multiHeadAttentionFunction(): FunctionProto {
  const b = new GraphBuilder(MULTI_HEAD_ATTENTION);
  const [query, key, value] = ['query', 'key', 'value'].map((name) =>
    b.input(name, DataType.FLOAT, [undefined, undefined, undefined]),
  ) as [Value, Value, Value]; // as many as names
  const bias = b.input('bias', DataType.FLOAT, [undefined, undefined, undefined, undefined]);
  const scale = b.input('scale', DataType.FLOAT, []);
  const heads = b.input('heads', DataType.INT64, [1]);
  const byHead = (part: Value, order: number[]) => b.transpose(b.reshape(part, [0, 0, heads, -1]), order);
  const scores = b.mul(b.matmul(byHead(query, [0, 2, 1, 3]), byHead(key, [0, 2, 3, 1])), scale);
  const mixed = b.matmul(b.softmax(b.add(scores, bias)), byHead(value, [0, 2, 1, 3]));
  b.output('y', b.reshape(b.transpose(mixed, [0, 2, 1, 3]), [0, 0, -1]));
  return b.finishFunction(DOMAIN);
}
