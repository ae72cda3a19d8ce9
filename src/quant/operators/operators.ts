/** The table of operators that can be quantized. A new operator is a file in this folder and a line in this table. */
import { checkModelArgument } from '../../onnx/check-model.ts';
import { indexGraph } from '../../onnx/graph-index.ts';
import { inferShapes } from '../../onnx/infer/infer.ts';
import type { Model } from '../../onnx/read.ts';
import { modulePath } from '../../onnx/rewrite.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { add } from './add.ts';
import { conv } from './conv.ts';
import { deformableAttention } from './deformable-attention.ts';
import { gather } from './gather.ts';
import { gemm } from './gemm.ts';
import { globalAveragePool } from './global-average-pool.ts';
import { matmul } from './matmul.ts';
import { mul } from './mul.ts';
import type { GraphFacts, QuantizableNode, QuantizableOperator } from './operator.ts';

const OPERATORS: readonly QuantizableOperator[] = [
  matmul,
  gemm,
  conv,
  gather,
  add,
  mul,
  globalAveragePool,
  deformableAttention, //
];

/** The types of the operators that a recipe can name. */
export const OPERATOR_NAMES: readonly string[] = OPERATORS.map(({ name }) => name);

const byType = new Map(OPERATORS.map((operator) => [`${operator.domain}::${operator.name}`, operator]));

/** A node of a model that can be quantized, and what of it can be. */
export interface Quantizable extends QuantizableNode {
  /** The node in the graph. */
  readonly node: NodeProto;
  /** The type of the operator. */
  readonly operator: string;
  /** The module path of the node. */
  readonly path: string;
}

/** The graph of a model with what shape inference knows about it. */
export function factsOf(model: Model): GraphFacts {
  return { index: indexGraph(model.graph), infos: inferShapes(model) };
}

/**
 * The nodes of a model that can be quantized, in the order of the graph. Other nodes are carried unchanged.
 *
 * @example
 * const convolutions = findQuantizable(model).filter(({ operator }) => operator === 'Conv');
 */
export function findQuantizable(model: Model, facts?: GraphFacts): Quantizable[] {
  checkModelArgument(model);
  const graph = facts ?? factsOf(model);
  return model.graph.node.flatMap((node) => {
    const operator = byType.get(`${node.domain}::${node.opType}`);
    const found = operator?.match(node, graph);
    return operator && found ? [{ ...found, node, operator: operator.name, path: modulePath(node) }] : [];
  });
}
