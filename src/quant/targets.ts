/** What can be quantized in a graph, and what a recipe makes of it. */
import { UsageError } from '../base/errors.ts';
import { integerAttribute } from '../onnx/attributes.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { matchesPath, type Recipe, type Rule, type Treatment } from './recipe.ts';

/** A node that multiplies an activation with a stored weight. */
export interface Target {
  readonly node: NodeProto;
  readonly path: string;
  /** The activation and the weight, as inputs 0 and 1 of the node. */
  readonly activation: string;
  readonly weight: TensorProto;
  /** The axis of the weight that has one scale per output channel. */
  readonly channelAxis: number;
}

export interface Assignment extends Target {
  readonly treatment: Treatment;
}

/** The output axis of each operator's weight. */
const CHANNEL_AXIS: Record<string, (node: NodeProto, rank: number) => number> = {
  MatMul: (_, rank) => rank - 1,
  Gemm: (node) => (integerAttribute(node, 'transB', 0) ? 0 : 1),
  Conv: () => 0,
};

export function findTargets(model: Model): Target[] {
  const { initializer } = indexGraph(model.graph);
  return model.graph.node.flatMap((node) => {
    const channelAxis = node.domain === '' ? CHANNEL_AXIS[node.opType] : undefined;
    const [activation, weightName = ''] = node.input;
    const weight = initializer.get(weightName);
    if (!channelAxis || !activation || initializer.has(activation)) return [];
    if (!weight || weight.dataType !== DataType.FLOAT || weight.dims.length < 2) return [];
    return [{ node, path: modulePath(node), activation, weight, channelAxis: channelAxis(node, weight.dims.length) }];
  });
}

/**
 * The treatment of every target: that of the last rule that matches, else float.
 * @throws UsageError if a pattern matches nothing, since it cannot be what was meant
 */
export function assignTreatments(model: Model, recipe: Recipe): Assignment[] {
  const targets = findTargets(model);
  for (const rule of recipe.rules)
    for (const pattern of rule.match)
      if (!targets.some((target) => matchesPath(pattern, target.path) && appliesTo(rule, target)))
        throw new UsageError(
          `The recipe ${recipe.name} has the pattern "${pattern}", which matches nothing in the model; correct or remove it.`,
        );
  return targets.map((target) => {
    const rule = recipe.rules.findLast(
      (candidate) =>
        appliesTo(candidate, target) && candidate.match.some((pattern) => matchesPath(pattern, target.path)),
    );
    const treatment = rule?.treatment ?? 'float';
    if (treatment === 'dynamic' && target.node.opType !== 'MatMul')
      throw new UsageError(
        `The recipe ${recipe.name} makes ${target.path} dynamic, a ${target.node.opType}; only MatMul can be: name \`operators: [MatMul]\` in the rule.`,
      );
    return { ...target, treatment };
  });
}

function appliesTo(rule: Rule, { node }: Target): boolean {
  return rule.operators === undefined || rule.operators.some((operator) => operator === node.opType);
}
