/** What can be quantized in a graph, and what a recipe makes of it. */
import { UsageError } from '../base/errors.ts';
import { integerAttribute } from '../onnx/attributes.ts';
import { DEFORMABLE_ATTENTION, DOMAIN } from '../onnx/dino8-operators.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { modulePath } from '../onnx/rewrite.ts';
import { DataType, type NodeProto, type TensorProto } from '../onnx/types.ts';
import { sourceOf } from './observe/same-values.ts';
import { matchesPath, type Recipe, type Rule, type Treatment } from './recipe.ts';
import { DEFAULT_WEIGHT_SCHEME, type WeightScheme } from './scheme.ts';

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

/**
 * What works on two activations.
 * - `product`: a MatMul, as in attention
 * - `deformable`: a deformable attention, of which the values are stored in bytes
 * - `sum`: an addition, as in residuals
 */
export interface ActivationTarget {
  readonly node: NodeProto;
  readonly path: string;
  readonly kind: 'product' | 'deformable' | 'sum';
}

export interface ActivationAssignment extends ActivationTarget {
  readonly treatment: Treatment;
  readonly rule: Rule;
}

export interface Assignment extends Target {
  readonly treatment: Treatment;
  readonly weights: WeightScheme;
  /** The rule that says so; undefined if none matched. */
  readonly rule: Rule | undefined;
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

/** MatMuls of two activations, as in attention, deformable attentions of float values, and residual sums. */
export function findActivationTargets(model: Model): ActivationTarget[] {
  const { initializer, consumers } = indexGraph(model.graph);
  const infos = inferShapes(model);
  const isFloat = (name: string) => infos.get(name)?.type === DataType.FLOAT;
  // A mask added to the scores of an attention is no residual, nor is a change of a box in the space of logits.
  const isScores = (node: NodeProto): boolean =>
    (consumers.get(node.output[0] ?? '') ?? []).some(
      (next) => ['Softmax', 'Sigmoid'].includes(next.opType) || (next.opType === 'Reshape' && isScores(next)),
    );
  const channels = (name = '') => {
    const shape = infos.get(name)?.shape;
    return isFloat(name) && (shape?.length ?? 0) >= 3 ? shape?.at(-1) : undefined;
  };
  return model.graph.node.flatMap((node): ActivationTarget[] => {
    const path = modulePath(node);
    const [a = '', b = ''] = node.input;
    if (node.opType === DEFORMABLE_ATTENTION && node.domain === DOMAIN)
      return isFloat(node.input[2] ?? '') ? [{ node, path, kind: 'deformable' }] : [];
    if (node.domain !== '' || initializer.has(a) || initializer.has(b)) return [];
    if (node.opType === 'MatMul') return [{ node, path, kind: 'product' }];
    const isSum =
      node.opType === 'Add' && typeof channels(a) === 'number' && channels(a) === channels(b) && !isScores(node);
    return isSum ? [{ node, path, kind: 'sum' }] : [];
  });
}

/**
 * The values that a recipe may want the range of, each once, where its numbers are made: what layers with weights,
 * deformable attention and products of whole features take. With `everything`, also what is multiplied within the heads of
 * attention, and residual sums: as many values again, which few recipes quantize.
 */
export function observableValues(model: Model, everything = false): string[] {
  const index = indexGraph(model.graph);
  const infos = inferShapes(model);
  const ofWeights = findTargets(model)
    .filter(({ kind }) => kind === 'product')
    .flatMap(({ node, activation }) => [activation, ...(node.opType === 'Conv' ? node.output : [])]);
  const HEADS = 4; // [batch, heads, positions, size]
  const isWanted = ({ node, kind }: ActivationTarget) =>
    everything ||
    kind === 'deformable' ||
    (kind === 'product' && (infos.get(node.input[0] ?? '')?.shape?.length ?? HEADS) < HEADS);
  const ofActivations = findActivationTargets(model)
    .filter(isWanted)
    .flatMap(({ node, kind }) => {
      const [a = '', b = ''] = node.input;
      if (kind === 'product') return [a, b];
      return kind === 'sum' ? [a, b, ...node.output] : [a, node.input[SAMPLING_OFFSETS] ?? ''];
    });
  return [...new Set([...ofWeights, ...ofActivations].map((name) => sourceOf(name, index)))];
}

/** The input of a deformable attention that says where it looks. */
export const SAMPLING_OFFSETS = 6;

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
    // A row of an embedding is looked up and has a scale of its own, which 4 bits in blocks would not leave it.
    const weights = target.node.opType === 'Gather' ? DEFAULT_WEIGHT_SCHEME : (rule?.weights ?? DEFAULT_WEIGHT_SCHEME);
    return { ...target, treatment, weights, rule };
  });
}

const POSSIBLE: Readonly<Record<ActivationTarget['kind'], readonly Treatment[]>> = {
  product: ['dynamic', 'static'],
  deformable: ['dynamic', 'static'],
  sum: ['static'],
};

/**
 * What a recipe makes of what works on activations; what stays float is left out.
 * @throws UsageError if a pattern matches nothing, or something cannot be treated as the recipe says
 */
export function assignActivationTreatments(model: Model, recipe: Recipe): ActivationAssignment[] {
  const targets = findActivationTargets(model);
  const rules = recipe.rules.filter(({ inputs }) => inputs === 'activations');
  const matches = (rule: Rule, pattern: string, { node, kind }: ActivationTarget) => {
    // Sums are everywhere: they are meant only where they are named.
    const isNamed = rule.operators?.some((operator) => operator === node.opType) ?? kind !== 'sum';
    return isNamed && matchesPath(pattern, node.name);
  };
  for (const rule of rules)
    for (const pattern of rule.match)
      if (!targets.some((target) => matches(rule, pattern, target)))
        throw new UsageError(
          `The recipe ${recipe.name} has the pattern "${pattern}", which matches no product or sum of activations and no deformable attention; correct or remove it.`,
        );
  return targets.flatMap((target) => {
    const rule = rules.findLast((candidate) => candidate.match.some((pattern) => matches(candidate, pattern, target)));
    if (!rule || rule.treatment === 'float') return [];
    const possible = POSSIBLE[target.kind];
    if (!possible.includes(rule.treatment))
      throw new UsageError(
        `The recipe ${recipe.name} makes ${target.node.name} ${rule.treatment}, which it cannot be; possible are float, ${possible.join(', ')}.`,
      );
    return [{ ...target, treatment: rule.treatment, rule }];
  });
}

/** Only products can be computed in integers. */
function appliesTo(rule: Rule, { node, kind }: Target): boolean {
  if (rule.inputs !== 'weights') return false;
  const fits = kind === 'product' || rule.treatment === 'weights' || rule.treatment === 'float';
  return fits && (rule.operators === undefined || rule.operators.some((operator) => operator === node.opType));
}
