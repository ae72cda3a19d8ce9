/** Whether two maps [batch, height, width, …] of a graph have the same size, which is seldom known in numbers. */
import { integerAttribute } from '../../../onnx/attributes.ts';
import type { GraphIndex } from '../../../onnx/graph-index.ts';

/** Compares sizes by the values that they come from. */
export class MapSizes {
  readonly #index: GraphIndex;
  readonly #known = new Map<string, string>();

  constructor(index: GraphIndex) {
    this.#index = index;
  }

  /** States that two values have the same size. */
  assume(value: string, other: string): void {
    this.#known.set(value, this.#root(other));
  }

  isSame(a: string, b: string): boolean {
    return this.#root(a) === this.#root(b);
  }

  /** The value from which the size comes, through operators that keep it. */
  #root(name: string): string {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    const root = this.#sourceOf(name);
    const result = root === undefined ? name : this.#root(root);
    this.#known.set(name, result);
    return result;
  }

  #sourceOf(name: string): string | undefined {
    const node = this.#index.producer.get(name);
    const [first = '', second = ''] = node?.input ?? [];
    const isStored = (value: string) => this.#index.initializer.has(value);
    switch (node?.opType) {
      case 'LayerNormalization':
      case 'QuantizeLinear':
      case 'DequantizeLinear':
      case 'Gelu':
      case 'Relu':
        return first;
      case 'MatMul':
      case 'MatMulIntegerToFloat':
        return isStored(second) ? first : undefined;
      case 'Add': {
        const isVector = (value: string) => this.#index.initializer.get(value)?.dims.length === 1;
        if (isVector(first) || isVector(second)) return isVector(first) ? second : first;
        return this.#root(first) === this.#root(second) ? first : undefined;
      }
      case 'Concat': {
        // Parts that were split off along the same axis, and computed one by one.
        const parts = node.input.map((part) => this.#root(part));
        const split = this.#index.producer.get(parts[0] ?? '');
        const isWhole = split?.output.length === parts.length && split.output.every((part, at) => part === parts[at]);
        const isAligned = split && integerAttribute(split, 'axis', 0) === integerAttribute(node, 'axis');
        return split?.opType === 'Split' && isWhole && isAligned ? split.input[0] : undefined;
      }
      default:
        return undefined;
    }
  }
}
