/** The multiply-adds of all nodes of a model. Calls of functions are counted by their bodies, so no operator needs a case here. */
import { checkModelArgument } from './check-model.ts';
import {
  type FindFunction,
  functionFinder,
  type Infos,
  inferBody,
  inferShapes,
  withoutFunction,
} from './infer/infer.ts';
import { multiplyAdds } from './multiply-adds.ts';
import type { Model } from './read.ts';
import { DataType, type NodeProto } from './types.ts';

/** A number of multiply-adds, by the numbers that are multiplied. */
export interface MultiplyAdds {
  /** Multiply-adds of two 8-bit numbers. */
  readonly integer: number;
  /** All other multiply-adds. */
  readonly float: number;
}

const NOTHING: MultiplyAdds = { integer: 0, float: 0 };

/**
 * Counts the multiply-adds of each node of the main graph. A product is counted as one of integers if both of its operands
 * are bytes, or are dequantized for it. How a kernel computes a function does not matter, only what its body says.
 *
 * @param model a model whose shapes are numbers; see `specialize`
 * @returns the counts by node; undefined for a node that has a product whose shapes are not known
 * @example
 * const counts = [...countMultiplyAdds(model).values()];
 * const integer = counts.reduce((sum, count) => sum + (count?.integer ?? 0), 0);
 */
export function countMultiplyAdds(model: Model): Map<NodeProto, MultiplyAdds | undefined> {
  checkModelArgument(model);
  return countNodes(model.graph.node, inferShapes(model), functionFinder(model.functions));
}

function countNodes(nodes: readonly NodeProto[], infos: Infos, findFunction: FindFunction) {
  const producer = new Map(nodes.flatMap((node) => node.output.map((name): [string, NodeProto] => [name, node])));
  return new Map(nodes.map((node) => [node, countNode(node, { infos, producer, findFunction })]));
}

/** The graph or the body that a node is in. */
interface Surroundings {
  readonly infos: Infos;
  readonly producer: ReadonlyMap<string, NodeProto>;
  readonly findFunction: FindFunction;
}

function countNode(node: NodeProto, surroundings: Surroundings): MultiplyAdds | undefined {
  const { infos, findFunction } = surroundings;
  const own = multiplyAdds(node, (name) => infos.get(name)?.shape);
  if (own === undefined) return undefined;
  if (own > 0) return isInteger(node, surroundings) ? { integer: own, float: 0 } : { integer: 0, float: own };
  const body = findFunction(node.domain, node.opType);
  if (!body) return NOTHING;
  const arguments_ = node.input.map((name) => infos.get(name));
  const counts = countNodes(body.node, inferBody(body, arguments_, findFunction), withoutFunction(body, findFunction));
  let sum: MultiplyAdds | undefined = NOTHING;
  for (const count of counts.values())
    sum = sum && count && { integer: sum.integer + count.integer, float: sum.float + count.float };
  return sum;
}

const BYTES: ReadonlySet<DataType | undefined> = new Set([DataType.UINT8, DataType.INT8]);

/** Operators that move the numbers of their first input. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze']);

/** True if both operands of a product have 8 bits. Deformable attention multiplies its first input by weights that it computes. */
function isInteger({ opType, domain, input }: NodeProto, { infos, producer }: Surroundings): boolean {
  if (opType === 'MatMulInteger' || opType === 'ConvInteger') return true;
  if (domain !== '') return BYTES.has(infos.get(input[0] ?? '')?.type);
  return input.slice(0, 2).every((name) => {
    let node = producer.get(name);
    while (node?.domain === '' && MOVES.has(node.opType)) node = producer.get(node.input[0] ?? '');
    return node?.domain === '' && node.opType === 'DequantizeLinear';
  });
}
