/** Chooses the nodes whose results the engine keeps from run to run. */
import { isStandard } from '../../onnx/graph-index.ts';
import { findSteadyNodes, leaveWidening } from '../../onnx/steady-nodes.ts';
import type { GraphProto, NodeProto } from '../../onnx/types.ts';

/** Operators whose results are sizes of what they read. */
const MEASURING = ['Shape', 'Size'];

/** The positions of the inputs by which an operator decides on the sizes of its results. A test says so of all operators of the engine. */
export const SIZE_INPUTS: Readonly<Record<string, readonly number[]>> = {
  ConstantOfShape: [0],
  Expand: [1],
  Pad: [1, 3],
  Range: [0, 1, 2],
  ReduceMax: [1],
  ReduceMean: [1],
  ReduceMin: [1],
  ReduceProd: [1],
  ReduceSum: [1],
  Reshape: [1],
  Slice: [1, 2, 3, 4],
  Split: [1],
  Squeeze: [1],
  Tile: [1],
  TopK: [1],
  Unsqueeze: [1],
};

/**
 * The nodes that compute the same, such as positions and masks, as long as all inputs have the same types and sizes, and some of them
 * the same numbers. Those at their end that only repeat or widen numbers are left out. Where the sizes of a value depend on numbers of
 * other inputs there are none, since results of Shape may then change too.
 *
 * @param graph whose nodes come in an order in which they can run, and whose standard operators have the domain ''
 * @param inputs the inputs that have the same numbers; names that are no input are ignored
 */
export function keptNodes(graph: GraphProto, inputs: readonly string[]): Set<NodeProto> {
  // An input with a stored value is a constant in the engine.
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const given = graph.input.map(({ name }) => name).filter((name) => inputs.includes(name) || stored.has(name));
  const measuring = graph.node.filter((node) => MEASURING.some((operator) => isStandard(node, operator)));
  const { nodes, isSteady } = findSteadyNodes(graph, [...given, ...measuring.flatMap(({ output }) => output)]);
  const decidesOnSizes = (node: NodeProto, index: number) =>
    node.domain === '' && SIZE_INPUTS[node.opType]?.includes(index);
  const areSizesSteady = graph.node.every((node) =>
    node.input.every((name, index) => name === '' || isSteady(name) || !decidesOnSizes(node, index)),
  );
  if (!areSizesSteady) return new Set();
  for (const node of measuring) nodes.add(node);
  leaveWidening(graph, nodes);
  return nodes;
}
