/** An index of a graph that follows a rewrite, so that each change costs what it changes and not a pass over the graph. */
import { type GraphIndex, indexGraph, usedBy } from './graph-index.ts';
import type { GraphProto, NodeProto, TensorProto } from './types.ts';

/** Changes a graph and the index of it together. */
export class ChangingIndex implements GraphIndex {
  readonly producer: Map<string, NodeProto>;
  readonly consumers: Map<string, NodeProto[]>;
  readonly initializer: Map<string, TensorProto>;
  readonly outputs: ReadonlySet<string>;
  readonly #graph: GraphProto;
  readonly #removed = new Set<NodeProto>();

  constructor(graph: GraphProto) {
    const { producer, consumers, initializer, outputs } = indexGraph(graph);
    this.producer = new Map(producer);
    this.consumers = new Map([...consumers].map(([name, readers]) => [name, [...readers]]));
    this.initializer = new Map(initializer);
    this.outputs = outputs;
    this.#graph = graph;
  }

  /** Adds a node at the end. */
  add(node: NodeProto): void {
    this.#graph.node.push(node);
    this.#enter(node);
  }

  addInitializer(tensor: TensorProto): void {
    this.#graph.initializer.push(tensor);
    this.initializer.set(tensor.name, tensor);
  }

  /** Gives a node other inputs and outputs. */
  change(node: NodeProto, input: readonly string[], output: readonly string[] = node.output): void {
    this.#leave(node);
    node.input = [...input];
    node.output = [...output];
    this.#enter(node);
  }

  /** Takes a node out of the index at once, and out of the graph in `finish`. */
  remove(node: NodeProto): void {
    this.#leave(node);
    this.#removed.add(node);
  }

  /** Takes the removed nodes out of the graph. */
  finish(): void {
    if (this.#removed.size > 0) this.#graph.node = this.#graph.node.filter((node) => !this.#removed.has(node));
    this.#removed.clear();
  }

  #enter(node: NodeProto): void {
    for (const name of node.output) if (name) this.producer.set(name, node);
    for (const name of usedBy(node)) {
      const readers = this.consumers.get(name);
      if (readers) readers.push(node);
      else this.consumers.set(name, [node]);
    }
  }

  #leave(node: NodeProto): void {
    for (const name of node.output) if (this.producer.get(name) === node) this.producer.delete(name);
    for (const name of usedBy(node)) {
      const readers = this.consumers.get(name);
      if (readers)
        this.consumers.set(
          name,
          readers.filter((each) => each !== node),
        );
    }
  }
}
