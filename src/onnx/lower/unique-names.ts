/** Names that no value and no node of a model has yet. */
import { nodesOf, subgraphsOf } from '../traverse.ts';
import type { GraphProto } from '../types.ts';

/** The names that are taken in a graph and in its subgraphs. */
export class UniqueNames {
  readonly #taken = new Set<string>();
  readonly #counts = new Map<string, number>();

  /** All names of a graph: values, nodes, and what the subgraphs of its nodes have. */
  static of(graph: GraphProto): UniqueNames {
    const names = new UniqueNames();
    names.#addGraph(graph);
    for (const node of nodesOf(graph)) {
      for (const name of [node.name, ...node.input, ...node.output]) names.#taken.add(name);
      for (const inner of subgraphsOf(node)) names.#addGraph(inner);
    }
    return names;
  }

  #addGraph({ input, output, initializer }: GraphProto): void {
    for (const { name } of [...input, ...output, ...initializer]) this.#taken.add(name);
  }

  /** Returns `base`, or the first of `base_2`, `base_3`, … that is free, and takes it. */
  take(base: string): string {
    let name = base;
    while (name === '' || this.#taken.has(name)) {
      const count = (this.#counts.get(base) ?? 1) + 1;
      this.#counts.set(base, count);
      name = `${base}_${count}`;
    }
    this.#taken.add(name);
    return name;
  }
}
