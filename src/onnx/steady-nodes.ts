/** Finds the nodes of a graph whose results stay the same while some values do, so that they need not run again. */
import { indexGraph, isStandard, usedBy } from './graph-index.ts';
import type { GraphProto, NodeProto } from './types.ts';

/**
 * Operators whose results usually have more bytes than what they read: they repeat numbers, or store them wider. Cast is none of
 * them, since it makes numbers narrower as often.
 */
const WIDENING = ['DequantizeLinear', 'Expand', 'Gather', 'GatherND'];

/** Operators whose results are the numbers that they read. */
const RESHAPING = ['Reshape', 'Squeeze', 'Unsqueeze'];

/** The nodes that depend on some values alone. */
export interface SteadyNodes {
  /** In the order of the graph. Nodes that depend on constants alone are not among them. */
  readonly nodes: Set<NodeProto>;
  /** True for one of the given values, a constant, and a result of a node that was found or depends on constants alone. */
  isSteady(value: string): boolean;
}

/**
 * Finds the nodes that depend on some of `values`, and on nothing else but constants.
 *
 * @param graph whose nodes come in an order in which they can run
 * @param values names of inputs, or of results of nodes
 * @param isEligible says which nodes may be found; what depends on another one is not found either
 */
export function findSteadyNodes(
  graph: GraphProto,
  values: readonly string[],
  isEligible: (node: NodeProto) => boolean = () => true,
): SteadyNodes {
  const given = new Set(graph.input.map(({ name }) => name));
  const steady = new Set(values);
  const constant = new Set(graph.initializer.map(({ name }) => name).filter((name) => !given.has(name)));
  const isSteady = (name: string) => steady.has(name) || constant.has(name);
  const nodes = new Set<NodeProto>();
  for (const node of graph.node) {
    const used = [...usedBy(node)];
    if (!used.every(isSteady) || !isEligible(node)) continue;
    const isOfValues = used.some((name) => steady.has(name));
    if (isOfValues) nodes.add(node);
    for (const name of node.output) if (name) (isOfValues ? steady : constant).add(name);
  }
  return { nodes, isSteady };
}

/**
 * Takes out nodes whose results are read by other nodes than `nodes` alone and only repeat or widen what they read. Results that are
 * kept take memory for as long as they are, and reading such results takes about as long as making them again.
 */
export function leaveWidening(graph: GraphProto, nodes: Set<NodeProto>): void {
  const { producer, consumers } = indexGraph(graph);
  const isOneOf = (node: NodeProto, operators: readonly string[]) =>
    operators.some((operator) => isStandard(node, operator));
  const isWidened = (node: NodeProto | undefined): boolean => {
    if (!node || !nodes.has(node)) return false;
    return isOneOf(node, WIDENING) || (isOneOf(node, RESHAPING) && isWidened(producer.get(node.input[0] ?? '')));
  };
  const isReadByOthers = ({ output }: NodeProto) =>
    output.every((name) => (consumers.get(name) ?? []).every((reader) => !nodes.has(reader)));
  for (const node of graph.node.toReversed()) if (isReadByOthers(node) && isWidened(node)) nodes.delete(node);
}
