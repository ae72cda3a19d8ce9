/**
 * The output projection of an attention and the feed-forward layers that alone read its normalized sum (linear-blocks.ts) become
 * one operator, so that the rows between are never written to memory.
 */
import { findAttribute } from '../../../onnx/attributes.ts';
import {
  FEED_FORWARD_ADD_NORM,
  INTEGER_LINEAR_ADD_NORM,
  PROJECTION_FEED_FORWARD,
} from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, removeUnused } from '../../../onnx/rewrite.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { isOfDino8 } from './attention-patterns.ts';
import { projectionFeedForwardFunction } from './projection-function.ts';

/** The place of the residual among the inputs of the feed-forward layers (see linearFunction). */
const RESIDUAL = 11;

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseProjections(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const gone = new Set<NodeProto>();
  const made = new Map<NodeProto, NodeProto>();
  for (const projection of graph.node) {
    const feedForward = feedForwardBehind(projection, index);
    if (!feedForward) continue;
    const behind = feedForward.input.filter((_, at) => at !== 0 && at !== RESIDUAL);
    const node = copyNode(feedForward, { input: [...projection.input, ...behind] });
    node.opType = PROJECTION_FEED_FORWARD;
    made.set(feedForward, node);
    gone.add(projection);
  }
  if (made.size === 0) return 0;
  graph.node = graph.node.filter((node) => !gone.has(node)).map((node) => made.get(node) ?? node);
  model.functions.push(projectionFeedForwardFunction());
  removeUnused(model);
  return made.size;
}

/** The feed-forward layers that read the result of a projection, as their x and residual, and alone; undefined if there are none. */
function feedForwardBehind(projection: NodeProto, index: GraphIndex): NodeProto | undefined {
  const [result = ''] = projection.output;
  const [feedForward, ...others] = index.consumers.get(result) ?? [];
  if (!isOfDino8(projection, INTEGER_LINEAR_ADD_NORM) || index.outputs.has(result)) return undefined;
  if (!isOfDino8(feedForward, FEED_FORWARD_ADD_NORM) || others.some((other) => other !== feedForward)) return undefined;
  const readers = feedForward.input.flatMap((name, at) => (name === result ? [at] : []));
  const isOfBoth = readers.length === 2 && readers[0] === 0 && readers[1] === RESIDUAL;
  const epsilon = (node: NodeProto) => findAttribute(node, 'epsilon')?.f;
  return isOfBoth && epsilon(projection) === epsilon(feedForward) ? feedForward : undefined;
}
