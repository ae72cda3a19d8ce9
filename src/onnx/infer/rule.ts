/** What a shape-inference rule is, and the arithmetic on dimensions that rules share. */
import type { Dimension, NodeProto, Shape, TensorInfo } from '../types.ts';

export interface RuleContext {
  readonly node: NodeProto;
  /** One entry per input; undefined where the input is absent or nothing is known of it. */
  readonly inputs: readonly (TensorInfo | undefined)[];
}

/**
 * What is known of a node's outputs from what is known of its inputs, or undefined for an output of which nothing
 * is. A rule may know less than is true, never something else.
 */
export type Rule = (context: RuleContext) => readonly (TensorInfo | undefined)[];

/** A shape tensor longer than this is data: its values are not tracked. */
export const LONGEST_SHAPE = 64;

/** An axis counted from the end made one counted from the start; undefined if it is out of range. */
export function normalizeAxis(axis: number, rank: number): number | undefined {
  const normalized = axis < 0 ? axis + rank : axis;
  return normalized >= 0 && normalized < rank ? normalized : undefined;
}

/** The extent of two dimensions under multidirectional broadcasting. */
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

/** The product of dimensions; undefined as soon as one is not a number. */
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

export function unknownShape(rank: number): Dimension[] {
  return new Array<Dimension>(rank).fill(undefined);
}
