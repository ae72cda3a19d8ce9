/** What can be quantized in a graph, and what a recipe makes of it. */
import { UsageError } from '../base/errors.ts';
import { integerAttribute } from '../onnx/attributes.ts';
import { DEFORMABLE_ATTENTION, DOMAIN } from '../onnx/dino8-operators.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { matchesPath, type Recipe, type Rule, type Treatment } from './recipe.ts';

/**
 * A node with a stored float weight.
 * - `product`: an activation times a weight matrix (or convolution), which can be computed in integers.
 * - `table`: an embedding, of which rows are looked up, and a stack of matrices, which multiply small things: they can
 *   be kept in integers and computed with in float.
 */
export interface Target {
  readonly node: NodeProto;
  readonly path: string;
  readonly kind: 'product' | 'table';
  /** The input that is the weight. */
  readonly weightInput: number;
  /** The other input. */
  readonly activation: string;
  readonly weight: TensorProto;
  /** The axis of the weight that has one scale per entry. */
  readonly channelAxis: number;
}

/** A MatMul of two activations, or a deformable attention, of which the values are stored in bytes. */
export interface ActivationTarget {
  readonly node: NodeProto;
  readonly path: string;
  readonly kind: 'product' | 'deformable';
}

export interface ActivationAssignment extends ActivationTarget {
  readonly treatment: Treatment;
}

export interface Assignment extends Target {
  readonly treatment: Treatment;
}

export function findTargets(model: Model): Target[] {
  const { initializer } = indexGraph(model.graph);
  return model.graph.node.flatMap((node) => {
    const inputs = [0, 1].filter((index) => initializer.has(node.input[index] ?? ''));
    const [weightInput] = inputs;
    const weight = weightInput === undefined ? undefined : initializer.get(node.input[weightInput] ?? '');
    const activation = weightInput === undefined ? undefined : node.input[1 - weightInput];
    // Two stored inputs are a constant; what is not float is quantized already.
    if (inputs.length !== 1 || weightInput === undefined || !weight || !activation) return [];
    if (node.domain !== '' || weight.dataType !== DataType.FLOAT || weight.dims.length < 2) return [];
    const described = describe(node, weightInput, weight.dims.length);
    return described ? [{ node, path: modulePath(node), weightInput, activation, weight, ...described }] : [];
  });
}

/** MatMuls of two activations, as in attention, and deformable attentions of float values. */
export function findActivationTargets(model: Model): ActivationTarget[] {
  const { initializer } = indexGraph(model.graph);
  return model.graph.node.flatMap((node): ActivationTarget[] => {
    const isProduct =
      node.opType === 'MatMul' && node.domain === '' && node.input.every((name) => !initializer.has(name));
    if (isProduct) return [{ node, path: modulePath(node), kind: 'product' }];
    const isDeformable = node.opType === DEFORMABLE_ATTENTION && node.domain === DOMAIN;
    const zeroPoint = initializer.get(node.input[2] ?? '');
    return isDeformable && zeroPoint?.dataType === DataType.FLOAT
      ? [{ node, path: modulePath(node), kind: 'deformable' }]
      : [];
  });
}

/** What kind of target a node is, and the axis of its weight with a scale each; undefined if it is none. */
function describe(
  node: NodeProto,
  weightInput: number,
  rank: number,
): Pick<Target, 'kind' | 'channelAxis'> | undefined {
  switch (node.opType) {
    case 'MatMul':
      return { kind: rank === 2 && weightInput === 1 ? 'product' : 'table', channelAxis: rank - 1 };
    case 'Gemm':
      return weightInput === 1
        ? { kind: 'product', channelAxis: integerAttribute(node, 'transB', 0) ? 0 : 1 }
        : undefined;
    case 'Conv':
      return weightInput === 1 ? { kind: 'product', channelAxis: 0 } : undefined;
    case 'Gather':
      return weightInput === 0 && rank === 2 && integerAttribute(node, 'axis', 0) === 0
        ? { kind: 'table', channelAxis: 0 }
        : undefined;
    default:
      return undefined;
  }
}

/**
 * The treatment of every target: that of the last rule that matches, else float.
 * @throws UsageError if a pattern matches nothing, since it cannot be what was meant
 */
export function assignTreatments(model: Model, recipe: Recipe): Assignment[] {
  const targets = findTargets(model);
  for (const rule of recipe.rules.filter(({ inputs }) => inputs === 'weights'))
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

/**
 * What a recipe makes of products of activations and of deformable attentions; those that stay float are left out.
 * @throws UsageError if a pattern matches nothing, or something cannot be treated as the recipe says
 */
export function assignActivationTreatments(model: Model, recipe: Recipe): ActivationAssignment[] {
  const targets = findActivationTargets(model);
  const rules = recipe.rules.filter(({ inputs }) => inputs === 'activations');
  for (const pattern of rules.flatMap((rule) => rule.match))
    if (!targets.some(({ node }) => matchesPath(pattern, node.name)))
      throw new UsageError(
        `The recipe ${recipe.name} has the pattern "${pattern}", which matches no product of activations and no deformable attention; correct or remove it.`,
      );
  return targets.flatMap((target) => {
    const rule = rules.findLast(({ match }) => match.some((pattern) => matchesPath(pattern, target.node.name)));
    const treatment = rule?.treatment ?? 'float';
    if (treatment === 'float') return [];
    const possible = target.kind === 'product' ? ['dynamic'] : ['dynamic', 'static'];
    if (!possible.includes(treatment))
      throw new UsageError(
        `The recipe ${recipe.name} makes ${target.node.name} ${treatment}, which it cannot be; possible are float, ${possible.join(', ')}.`,
      );
    return [{ ...target, treatment }];
  });
}

/** Only products can be computed in integers. */
function appliesTo(rule: Rule, { node, kind }: Target): boolean {
  if (rule.inputs !== 'weights') return false;
  const fits = kind === 'product' || rule.treatment === 'weights' || rule.treatment === 'float';
  return fits && (rule.operators === undefined || rule.operators.some((operator) => operator === node.opType));
}
