/** What techniques share that move factors between layers: the model computes the same, in numbers that quantize better. */
import { indexGraph } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { replaceUses, sortTopologically } from '../../onnx/rewrite.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';
import type { Additions, Emit } from '../weights.ts';
import { emitter } from '../weights.ts';

/** Changes to the stored tensors of a model, computed by nodes that are folded at the end. */
export class Rescaling {
  readonly #added: Pick<Additions, 'nodes' | 'tensors'> = { nodes: [], tensors: [] };
  readonly #replaced = new Map<string, string>();
  readonly emit: Emit;

  constructor(prefix: string) {
    this.emit = emitter(prefix, this.#added);
  }

  /** Makes `name` divided (or multiplied) by the vector `factor` along `axis`; a vector itself has axis 0. */
  scale(name: string, operator: 'Mul' | 'Div', factor: string, shape: readonly number[]): void {
    const shaped = this.emit('Reshape', [factor, shape]);
    this.#replaced.set(name, this.emit(operator, [name, shaped]));
  }

  has(name: string): boolean {
    return this.#replaced.has(name);
  }

  /** Answers how many tensors changed. */
  async apply(model: Model): Promise<number> {
    const { graph } = model;
    for (const [name, scaled] of this.#replaced) replaceUses(graph, name, scaled);
    graph.node = [...this.#added.nodes, ...graph.node];
    graph.initializer.push(...this.#added.tensors);
    sortTopologically(graph);
    await foldConstants(model);
    return this.#replaced.size;
  }
}

/** How often each stored tensor is used. */
export function countUses(model: Model): Map<string, number> {
  const uses = new Map<string, number>();
  const { initializer } = indexGraph(model.graph);
  for (const node of model.graph.node)
    for (const name of node.input) if (initializer.has(name)) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** Nodes that only move or cut values; a padding adds zeros. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Identity', 'Split', 'Slice', 'Concat', 'Pad']);

export const isMove = ({ opType, domain }: NodeProto): boolean => domain === '' && MOVES.has(opType);
