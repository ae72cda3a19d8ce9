/** What every part of the network is built with: the graph, the weights, and the layers that all parts share. */
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import type { Weights } from './weights.ts';

/** Added to a score that must not be attended to: its softmax is exactly 0, and it is finite (infinities poison calibration). */
export const MASKED = -1e9;

/** Layers at least this wide are computed in parts, and have Q, K and V in one product … */
const WIDE = 384;
/** … parts, this many: at 800x1333 a part of the encoder's widest layer has 23 MB, of the 182 MB of the whole. */
const PARTS = 8;

export class Network {
  /** `detached`: where given, the graph is for training, and the values through which no gradient passes are entered. */
  constructor(
    readonly b: GraphBuilder,
    readonly weights: Weights,
    readonly detached?: string[],
  ) {}

  /** `x` as a value through which no gradient passes: what is trained by one loss is not moved by the next layer's. */
  detach(x: Value): Value {
    if (!this.detached) return x;
    const copy = this.b.identity(x);
    this.detached.push(copy.name);
    return copy;
  }

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
   * The linear layers `names` of one input [..., width], each [..., width]. Wide ones are one product, of the weights
   * side by side: the input is then read once. Narrow ones stay apart, because there, where the maps are large, cutting
   * the product up costs more than it saves (measured in docs/performance.md).
   */
  projections<const Names extends readonly string[]>(
    names: Names,
    x: Value,
    width: number,
  ): { readonly [Index in keyof Names]: Value } {
    const { b } = this;
    const separate = () => names.map((name) => this.linear(name, x, width, width));
    const together = () =>
      b.scope(names.join('_'), () => {
        const parts = names.map((name) => this.#weightsOf(name, width));
        const weight = b.named(
          `${b.path}.weight`,
          b.concat(
            parts.map((part) => part.weight),
            1,
          ),
        );
        const bias = b.concat(
          parts.map((part) => part.bias),
          0,
        );
        const sizes = b.integers(...names.map(() => width));
        return b.split(b.add(b.matmul(x, weight), bias), sizes, names.length, -1);
      });
    // One value for each name, which the type of a map over a tuple does not tell.
    return (width < WIDE ? separate() : together()) as { readonly [Index in keyof Names]: Value };
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
    const [query, key, value] = this.#projectInputs(inputs, width, names);
    const keyTransposed = b.transpose(b.reshape(key, [0, 0, heads, -1]), [0, 2, 3, 1]);
    const scores = b.mul(b.matmul(this.splitHeads(query, heads), keyTransposed), 1 / Math.sqrt(width / heads));
    const masked = inputs.mask ? b.add(scores, inputs.mask) : scores;
    return this.mergeHeads(b.matmul(b.softmax(masked), this.splitHeads(value, heads)));
  }

  /** Transposed weight and bias of the module `name` beside the one in whose scope this is called. */
  #weightsOf(name: string, width: number): { weight: Value; bias: Value } {
    const parent = this.b.path.slice(0, this.b.path.lastIndexOf('.') + 1);
    return {
      weight: this.weights.transposed(`${parent}${name}.weight`, [width, width]),
      bias: this.weights.get(`${parent}${name}.bias`, [width]),
    };
  }

  /** The projections of queries, keys and values; those of the same input together. */
  #projectInputs(
    { queries, keys, values }: { queries: Value; keys: Value; values: Value },
    width: number,
    [queryName, keyName, valueName]: readonly [string, string, string],
  ): readonly [Value, Value, Value] {
    if (queries === keys && keys === values) return this.projections([queryName, keyName, valueName], queries, width);
    const [query, key] =
      queries === keys
        ? this.projections([queryName, keyName], queries, width)
        : [this.linear(queryName, queries, width, width), this.linear(keyName, keys, width, width)];
    return [query, key, this.linear(valueName, values, width, width)];
  }
}
