/** What every part of the network is built with: the graph, the weights, and the layers that all parts share. */
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import type { Weights } from './weights.ts';

/** Added to a score that must not be attended to: its softmax is exactly 0, and it is finite (infinities poison calibration). */
export const MASKED = -1e9;

/** Layers at least this wide are computed in parts … */
const WIDE = 384;
/** … this many: at 800x1333 a part of the encoder's widest layer has 23 MB, of the 182 MB of the whole. */
const PARTS = 8;

export class Network {
  constructor(
    readonly b: GraphBuilder,
    readonly weights: Weights,
  ) {}

  /** The parameter `name` of the module in whose scope this is called. */
  parameter(name: string, shape: readonly number[]): Value {
    return this.weights.get(this.b.path ? `${this.b.path}.${name}` : name, shape);
  }

  /** y = x · Wᵀ + b: x [..., inputs] → [..., outputs]. */
  linear(name: string, x: Value, inputs: number, outputs: number, bias = true): Value {
    const { b } = this;
    return b.scope(name, () => {
      const weight = this.weights.transposed(`${b.path}.weight`, [outputs, inputs]);
      const product = b.matmul(x, weight);
      return bias ? b.add(product, this.parameter('bias', [outputs])) : product;
    });
  }

  /** Layer normalisation over the last axis, of `size`. */
  layerNorm(name: string, x: Value, size: number, epsilon: number): Value {
    const { b } = this;
    return b.scope(name, () =>
      b.layerNormalization(x, this.parameter('weight', [size]), this.parameter('bias', [size]), epsilon),
    );
  }

  /** Linear layers `layers.0`, `layers.1`, … with ReLU between them. `sizes`: input, hidden, …, output. */
  multilayerPerceptron(name: string, x: Value, sizes: readonly number[]): Value {
    return this.b.scope(name, () => {
      let result = x;
      for (let layer = 0; layer + 1 < sizes.length; layer++) {
        if (layer > 0) result = this.b.relu(result);
        result = this.linear(`layers.${layer}`, result, sizes[layer] ?? 0, sizes[layer + 1] ?? 0);
      }
      return result;
    });
  }

  /**
   * `compute` on each of some parts of `x` along `axis`, joined again: what is wide in between then fits the caches,
   * and is never in memory as a whole. Small models are not split, since every part costs its operators' overhead.
   */
  inParts(x: Value, axis: number, innerWidth: number, compute: (part: Value) => Value): Value {
    if (innerWidth < WIDE) return compute(x);
    return this.b.concat(this.b.chunk(x, PARTS, axis).map(compute), axis);
  }

  /** The two entries of a vector, each as a vector of one. */
  pair(vector: Value): readonly [Value, Value] {
    const { b } = this;
    return [b.slice(vector, [0], [1], [0]), b.slice(vector, [1], [2], [0])];
  }

  /** [batch, n, heads · size] → [batch, heads, n, size]. */
  splitHeads(x: Value, heads: number): Value {
    return this.b.transpose(this.b.reshape(x, [0, 0, heads, -1]), [0, 2, 1, 3]);
  }

  /** [batch, heads, n, size] → [batch, n, heads · size]. */
  mergeHeads(x: Value): Value {
    return this.b.reshape(this.b.transpose(x, [0, 2, 1, 3]), [0, 0, -1]);
  }

  /**
   * Multi-head attention with the projections `names` (Q, K, V) of the current scope.
   * queries [batch, n, width], keys and values [batch, m, width], mask broadcast to [batch, heads, n, m] and added
   * to the scores → [batch, n, width], before the output projection.
   */
  attention(
    inputs: { queries: Value; keys: Value; values: Value; mask?: Value | undefined },
    width: number,
    heads: number,
    names: readonly [string, string, string] = ['query', 'key', 'value'],
  ): Value {
    const { b } = this;
    const query = this.splitHeads(this.linear(names[0], inputs.queries, width, width), heads);
    const key = b.transpose(
      b.reshape(this.linear(names[1], inputs.keys, width, width), [0, 0, heads, -1]),
      [0, 2, 3, 1],
    );
    const value = this.splitHeads(this.linear(names[2], inputs.values, width, width), heads);
    const scores = b.mul(b.matmul(query, key), 1 / Math.sqrt(width / heads));
    const masked = inputs.mask ? b.add(scores, inputs.mask) : scores;
    return this.mergeHeads(b.matmul(b.softmax(masked), value));
  }
}
