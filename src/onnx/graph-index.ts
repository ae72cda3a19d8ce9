/** Who makes and who uses each value of a graph. */
import { nodesOf, subgraphsOf } from './traverse.ts';
import type { GraphProto, NodeProto, TensorProto } from './types.ts';

export interface GraphIndex {
  /** The node that makes a value; undefined for inputs and initializers. */
  readonly producer: ReadonlyMap<string, NodeProto>;
  /** The nodes that use a value, each once, those with a subgraph that uses it included. */
  readonly consumers: ReadonlyMap<string, readonly NodeProto[]>;
  readonly initializer: ReadonlyMap<string, TensorProto>;
  readonly outputs: ReadonlySet<string>;
}

/** An index of the graph as it is now; a rewrite that changes it asks for a new one. */
export function indexGraph(graph: GraphProto): GraphIndex {
  const producer = new Map<string, NodeProto>();
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node) {
    for (const name of node.output) if (name) producer.set(name, node);
    for (const name of usedBy(node)) consumers.set(name, [...(consumers.get(name) ?? []), node]);
  }
  return {
    producer,
    consumers,
    initializer: new Map(graph.initializer.map((tensor) => [tensor.name, tensor])),
    outputs: new Set(graph.output.map((output) => output.name)),
  };
}

/** The values a node needs: its inputs, and what its subgraphs take from outside. */
export function usedBy(node: NodeProto): Set<string> {
  const names = new Set(node.input.filter(Boolean));
  for (const graph of subgraphsOf(node)) {
    for (const output of graph.output) names.add(output.name);
    for (const inner of nodesOf(graph)) for (const name of inner.input) if (name) names.add(name);
  }
  return names;
}
