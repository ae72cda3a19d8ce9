/**
 * Gradient checkpointing (Chen et al. 2016, https://arxiv.org/abs/1604.06174): of a segment of the graph only the inputs are
 * kept in memory. When its gradients are computed, copies of its nodes compute the other values again.
 */
import type { GraphBuilder, Value } from '../onnx/builder.ts';
import { indexGraph, usedBy } from '../onnx/graph-index.ts';
import { copyNode } from '../onnx/rewrite.ts';
import { DataType, type GraphProto, type NodeProto } from '../onnx/types.ts';

/** Returns the name of the segment that a node belongs to; undefined for nodes whose results are kept. */
export type SegmentOf = (node: NodeProto) => string | undefined;

/** The recomputed segments of one graph. */
export class Recomputation {
  readonly #b: GraphBuilder;
  readonly #graph: GraphProto;
  readonly #segmentOf: SegmentOf;
  /** The segment of each value that only nodes of the same segment use. */
  readonly #internal = new Map<string, string>();
  readonly #copied = new Set<string>();
  readonly #inputs: ReadonlySet<string>;

  constructor(b: GraphBuilder, graph: GraphProto, segmentOf: SegmentOf) {
    this.#b = b;
    this.#graph = graph;
    this.#segmentOf = segmentOf;
    const { consumers, outputs } = indexGraph(graph);
    for (const node of graph.node) {
      const segment = segmentOf(node);
      if (segment === undefined) continue;
      for (const name of node.output) {
        const isInternal = (consumers.get(name) ?? []).every((consumer) => segmentOf(consumer) === segment);
        if (isInternal && !outputs.has(name)) this.#internal.set(name, segment);
      }
    }
    this.#inputs = new Set([...graph.input, ...graph.initializer].map(({ name }) => name));
  }

  /**
   * The name under which the backward pass reads the value `name`: its own, or that of its recomputed copy.
   * @param gradient the value that must exist before the segment is computed again
   */
  locate(name: string, gradient: Value): string {
    const segment = this.#internal.get(name);
    if (segment === undefined) return name;
    if (!this.#copied.has(segment)) this.#copy(segment, gradient);
    return copyName(name);
  }

  #copy(segment: string, gradient: Value): void {
    this.#copied.add(segment);
    const b = this.#b;
    const nodes = this.#graph.node.filter((node) => this.#segmentOf(node) === segment);
    const made = new Set(nodes.flatMap((node) => node.output));
    const outside = new Set(nodes.flatMap((node) => [...usedBy(node)]).filter((name) => !made.has(name)));
    // Without an input that depends on the gradient, ONNX Runtime would compute all segments at once, at the start.
    const zero = b.mul(b.gather(b.reshape(gradient, [-1]), b.integer(0), 0), 0);
    const waiting = new Map<string, string>();
    for (const name of outside) {
      const value = b.value(name);
      if (value.type === DataType.FLOAT && !this.#inputs.has(name)) waiting.set(name, b.add(value, zero).name);
    }
    for (const node of nodes) {
      const input = node.input.map((name) => waiting.get(name) ?? (made.has(name) ? copyName(name) : name));
      const output = node.output.map((name) => name && copyName(name));
      b.addNodes([copyNode(node, { name: `recomputed.${node.name}`, input, output })]);
      for (const name of node.output) if (name) b.assume(b.value(copyName(name)), b.value(name));
    }
  }
}

const copyName = (name: string) => `recomputed.${name}`;
