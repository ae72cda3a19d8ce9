/** An index of a graph: the producer and the consumers of each value. */
import { checkFields } from '../base/check-options.ts';
import { nodesOf, subgraphsOf } from './traverse.ts';
import type { GraphProto, NodeProto, TensorProto } from './types.ts';

/** Look-ups by the name of a value. */
export interface GraphIndex {
  /** The node that computes a value; inputs and initializers have none. */
  readonly producer: ReadonlyMap<string, NodeProto>;
  /** The nodes that use a value, each listed once, including nodes with a subgraph that uses it. */
  readonly consumers: ReadonlyMap<string, readonly NodeProto[]>;
  /** The stored tensors. */
  readonly initializer: ReadonlyMap<string, TensorProto>;
  /** The names of the graph's outputs. */
  readonly outputs: ReadonlySet<string>;
}

/**
 * Indexes a graph as it is now. After a rewrite of the graph the index is out of date.
 * @example
 * const index = indexGraph(model.graph);
 * const readers = index.consumers.get('pixel_values') ?? [];
 */
export function indexGraph(graph: Pick<GraphProto, 'node' | 'initializer' | 'output'>): GraphIndex {
  checkFields('The graph must be that of a model', graph, 'node', 'initializer', 'output');
  const producer = new Map<string, NodeProto>();
  const consumers = new Map<string, NodeProto[]>();
  for (const node of graph.node) {
    for (const name of node.output) if (name) producer.set(name, node);
    for (const name of usedBy(node)) {
      const readers = consumers.get(name);
      if (readers) readers.push(node);
      else consumers.set(name, [node]);
    }
  }
  return {
    producer,
    consumers,
    initializer: new Map(graph.initializer.map((tensor) => [tensor.name, tensor])),
    outputs: new Set(graph.output.map((output) => output.name)),
  };
}

/** True if exactly one node reads a value, and the value is no output of the graph. */
export function isReadOnce(name: string, { consumers, outputs }: GraphIndex): boolean {
  return consumers.get(name)?.length === 1 && !outputs.has(name);
}

/** The node that computes a value which one other node reads; undefined if more read it, or none. */
export function onlyProducer(name: string | undefined, index: GraphIndex): NodeProto | undefined {
  return name !== undefined && isReadOnce(name, index) ? index.producer.get(name) : undefined;
}

/** The node that alone reads the only result of a node; undefined if there is no node, or not one result and one reader. */
export function onlyReader(node: NodeProto | undefined, index: GraphIndex): NodeProto | undefined {
  const [result = '', ...others] = node?.output ?? [];
  return others.length === 0 && isReadOnce(result, index) ? index.consumers.get(result)?.[0] : undefined;
}

/** True if a node is the operator of that name in ONNX's own domain. */
export function isStandard(node: NodeProto | undefined, operator: string): node is NodeProto {
  return node?.domain === '' && node.opType === operator;
}

/** The names of the values that a node needs: its inputs, and the values that its subgraphs take from outside. */
export function usedBy(node: NodeProto): Set<string> {
  const names = new Set(node.input.filter(Boolean));
  for (const graph of subgraphsOf(node)) {
    for (const output of graph.output) names.add(output.name);
    for (const inner of nodesOf(graph)) for (const name of inner.input) if (name) names.add(name);
  }
  return names;
}
