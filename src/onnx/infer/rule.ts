/** The form of a shape-inference rule, and the arithmetic on dimensions that rules share. */
import type { Dimension, NodeProto, Shape, TensorInfo } from '../types.ts';

/** The input of a rule. */
interface RuleContext {
  readonly node: NodeProto;
  /** The facts about each input; undefined if the input is absent or nothing is known about it. */
  readonly inputs: readonly (TensorInfo | undefined)[];
}

/**
 * Infers the facts about a node's outputs from those about its inputs; undefined for an output about which nothing is known.
 * A rule may leave facts out, but it never states a wrong one.
 */
export type Rule = (context: RuleContext) => readonly (TensorInfo | undefined)[];

/** The values of integer vectors that are longer than this are not tracked, since they are data and not shapes. */
export const MAX_SHAPE_LENGTH = 64;

/** An axis counted from the start, from one that may count from the end; undefined if it is out of range. */
export function normalizeAxis(axis: number, rank: number): number | undefined {
  const normalized = axis < 0 ? axis + rank : axis;
  return normalized >= 0 && normalized < rank ? normalized : undefined;
}

/** The dimension of a result whose operands have the dimensions `a` and `b` on that axis. */
function broadcastDimension(a: Dimension, b: Dimension): Dimension {
  if (a === 1) return b;
  if (b === 1 || a === b) return a;
  if (typeof a === 'number' && a > 1) return a; // the other is 1 or the same
  if (typeof b === 'number' && b > 1) return b;
  return undefined;
}

/** The shape of an element-wise result (https://onnx.ai/onnx/repo-docs/Broadcasting.html). */
export function broadcastShapes(shapes: readonly (Shape | undefined)[]): Shape | undefined {
  let result: Dimension[] = [];
  for (const shape of shapes) {
    if (!shape) return undefined;
    const rank = Math.max(result.length, shape.length);
    const at = (dimensions: Shape, index: number) => {
      const position = index - (rank - dimensions.length);
      return position < 0 ? 1 : dimensions[position];
    };
    const previous = result;
    result = Array.from({ length: rank }, (_, index) => broadcastDimension(at(previous, index), at(shape, index)));
  }
  return result;
}

/** The product of dimensions: a number, one symbol, or undefined if it is neither. */
export function multiply(dimensions: Shape): Dimension {
  let product = 1;
  let symbol: string | undefined;
  for (const dimension of dimensions) {
    if (dimension === undefined) return undefined;
    if (typeof dimension === 'number') product *= dimension;
    else if (symbol !== undefined) return undefined;
    else symbol = dimension;
  }
  if (symbol === undefined || product === 0) return product;
  return product === 1 ? symbol : undefined;
}

/** A shape of which only the rank is known. */
export function unknownShape(rank: number): Dimension[] {
  return new Array<Dimension>(rank).fill(undefined);
}
