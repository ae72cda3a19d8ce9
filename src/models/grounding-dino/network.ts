/** The layers that all parts of the network share, over one graph and one set of weights. */
import type { GraphBuilder, Value } from '../../onnx/builder.ts';
import type { Weights } from './weights.ts';

/** The number that is added to scores which must not be attended to: their softmax is exactly 0. It is finite because infinities spoil statistics of calibration. */
export const MASKED = -1e9;

/** Feed-forward layers with an inner width of at least this are computed in parts. Narrower ones are not: every part costs the overhead of its operators. */
const MINIMUM_WIDTH_IN_PARTS = 384;
/** The number of parts: at 800x1333 a part of the encoder's widest layer has 23 MB, of the 182 MB of the whole layer. */
const PARTS = 8;

/** Projections of one input that are at least this wide are computed as one product (measured in docs/performance.md). */
const MINIMUM_WIDTH_TOGETHER = 384;

/** Inputs of an attention layer. */
export interface AttentionInputs {
  /** [batch, n, width] */
  readonly queries: Value;
  /** [batch, m, width] */
  readonly keys: Value;
  /** [batch, m, width] */
  readonly values: Value;
  /** Added to the scores, broadcast to [batch, heads, n, m]. */
  readonly mask?: Value | undefined;
}

/** Builds the layers of a network. Names of modules are relative to the scope of the builder. */

export class Network {
  /**
   * @param b the builder of the graph
   * @param weights the tensors of the checkpoint
   * @param detached a list for a graph that is trained: the names of the values through which no gradient passes are added to it
   */
  constructor(
    readonly b: GraphBuilder,
    readonly weights: Weights,
    readonly detached?: string[],
  ) {}

  /** Returns `x` as a value through which no gradient passes, so that the loss of a layer does not train the layers before it through its boxes. */
  detach(x: Value): Value {
    if (!this.detached) return x;
    const copy = this.b.identity(x);
    this.detached.push(copy.name);
    return copy;
  }

  /** Returns the parameter `name`, of the given shape, of the module in whose scope this is called. */
  parameter(name: string, shape: readonly number[]): Value {
    return this.weights.get(this.b.path ? `${this.b.path}.${name}` : name, shape);
  }

  /** A linear layer y = x · Wᵀ + b, from x [..., inputs] to [..., outputs]. `bias`: whether it has a bias. */
  linear(name: string, x: Value, inputs: number, outputs: number, bias = true): Value {
    const { b } = this;
    return b.scope(name, () => {
      const weight = this.weights.transposed(`${b.path}.weight`, [outputs, inputs]);
      const product = b.matmul(x, weight);
      return bias ? b.add(product, this.parameter('bias', [outputs])) : product;
    });
  }

  /** Layer normalisation (Ba et al. 2016, https://arxiv.org/abs/1607.06450) over the last axis, which has `size` elements. */
  layerNorm(name: string, x: Value, size: number, epsilon: number): Value {
    const { b } = this;
    return b.scope(name, () =>
      b.layerNormalization(x, this.parameter('weight', [size]), this.parameter('bias', [size]), epsilon),
    );
  }

  /** Linear layers `layers.0`, `layers.1`, … with ReLU between them. `sizes` are the widths of the input, the hidden layers and the output. */
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
   * Applies `compute` to parts of `x` along `axis`, and joins the results. The wide values inside `compute` then fit the
   * caches, and are never in memory as a whole.
   *
   * @param innerWidth the width of the values inside `compute`; narrow layers are computed at once
   */
  inParts(x: Value, axis: number, innerWidth: number, compute: (part: Value) => Value): Value {
    if (innerWidth < MINIMUM_WIDTH_IN_PARTS) return compute(x);
    return this.b.concat(this.b.chunk(x, PARTS, axis).map(compute), axis);
  }

  /** Returns the two elements of a vector, each as a vector of one element. */
  pair(vector: Value): readonly [Value, Value] {
    const { b } = this;
    return [b.slice(vector, [0], [1], [0]), b.slice(vector, [1], [2], [0])];
  }

  /** Reshapes [batch, n, heads · size] to [batch, heads, n, size]. */
  splitHeads(x: Value, heads: number): Value {
    return this.b.transpose(this.b.reshape(x, [0, 0, heads, -1]), [0, 2, 1, 3]);
  }

  /** Reshapes [batch, heads, n, size] to [batch, n, heads · size]. */
  mergeHeads(x: Value): Value {
    return this.b.reshape(this.b.transpose(x, [0, 2, 1, 3]), [0, 0, -1]);
  }

  /**
   * The linear layers `names` of one input [..., width], each with a result [..., width]. Wide layers become one product
   * with their weights side by side, so that the input is read once. Narrow layers stay separate: they belong to large
   * maps, for which splitting the product costs more than it saves (measured in docs/performance.md).
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
    return (width < MINIMUM_WIDTH_TOGETHER ? separate() : together()) as { readonly [Index in keyof Names]: Value };
  }

  /**
   * Multi-head attention (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.2.2), without the output
   * projection.
   *
   * @param names of the projections of queries, keys and values in the current scope
   * @returns [batch, n, width]
   */
  attention(
    inputs: AttentionInputs,
    width: number,
    heads: number,
    names: readonly [string, string, string] = ['query', 'key', 'value'],
  ): Value {
    const { b } = this;
    const [queryName, keyName, valueName] = names;
    const query = this.linear(queryName, inputs.queries, width, width);
    const key = this.linear(keyName, inputs.keys, width, width);
    const value = this.linear(valueName, inputs.values, width, width);
    const keyTransposed = b.transpose(b.reshape(key, [0, 0, heads, -1]), [0, 2, 3, 1]);
    const scores = b.mul(b.matmul(this.splitHeads(query, heads), keyTransposed), 1 / Math.sqrt(width / heads));
    const masked = inputs.mask ? b.add(scores, inputs.mask) : scores;
    return this.mergeHeads(b.matmul(b.softmax(masked), this.splitHeads(value, heads)));
  }

  /** The transposed weight and the bias of the module `name`, a sibling of the module in whose scope this is called. */
  #weightsOf(name: string, width: number): { weight: Value; bias: Value } {
    const parent = this.b.path.slice(0, this.b.path.lastIndexOf('.') + 1);
    return {
      weight: this.weights.transposed(`${parent}${name}.weight`, [width, width]),
      bias: this.weights.get(`${parent}${name}.bias`, [width]),
    };
  }
}
