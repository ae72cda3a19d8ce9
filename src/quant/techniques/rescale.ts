/** Shared by the techniques that move factors between layers: the model computes the same, with values that quantize better. */
import { append } from '../../base/append.ts';
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

  /** Divides or multiplies the stored tensor `name` by the vector `factor`, which is reshaped to `shape` to broadcast. */
  scale(name: string, operator: 'Mul' | 'Div', factor: string, shape: readonly number[]): void {
    const shaped = this.emit('Reshape', [factor, shape]);
    this.#replaced.set(name, this.emit(operator, [name, shaped]));
  }

  /** True if the tensor is scaled already. */
  has(name: string): boolean {
    return this.#replaced.has(name);
  }

  /** Carries out all changes. */
  async apply(model: Model): Promise<void> {
    const { graph } = model;
    for (const [name, scaled] of this.#replaced) replaceUses(graph, name, scaled);
    graph.node = [...this.#added.nodes, ...graph.node];
    append(graph.initializer, this.#added.tensors);
    sortTopologically(graph);
    await foldConstants(model);
  }
}

/** The number of uses of each stored tensor, by its name. */
export function countUses(model: Model): Map<string, number> {
  const uses = new Map<string, number>();
  const { initializer } = indexGraph(model.graph);
  for (const node of model.graph.node)
    for (const name of node.input) if (initializer.has(name)) uses.set(name, (uses.get(name) ?? 0) + 1);
  return uses;
}

/** Nodes that only move or cut values; a padding adds zeros, which stay zeros when they are scaled. */
const MOVES = new Set(['Reshape', 'Transpose', 'Squeeze', 'Unsqueeze', 'Identity', 'Split', 'Slice', 'Concat', 'Pad']);

/** True for a node that moves values without changing them. */
export const isMove = ({ opType, domain }: NodeProto): boolean => domain === '' && MOVES.has(opType);
