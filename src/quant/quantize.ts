/** A model and a recipe → an INT8 model. */
import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import { InputError, UsageError } from '../base/errors.ts';
import { copyModel } from '../onnx/copy.ts';
import { type GraphIndex, indexGraph } from '../onnx/graph-index.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused, sortTopologically } from '../onnx/rewrite.ts';
import type { NodeProto } from '../onnx/types.ts';
import { foldConstants } from '../runtime/fold-constants.ts';
import { checkWeights } from './check-weights.ts';
import { clippedResults, clipResults } from './clip.ts';
import { type DynamicActivations, quantizeDynamically, quantizeProduct, quantizeValues } from './dynamic.ts';
import type { Statistics } from './observe/calibrate.ts';
import { estimateRange, observerOf } from './observe/observer.ts';
import { sourceOf } from './observe/same-values.ts';
import type { Statistic } from './observe/statistic.ts';
import { textDependence } from './observe/text-dependence.ts';
import { type Bias, biasOf } from './placement/bias.ts';
import {
  CONTRIB,
  INTEGER_PRODUCT,
  integerProductFunction,
  quantizeProductStatically,
  quantizeStatically,
  quantizeSum,
  quantizeValuesStatically,
  type StaticContext,
} from './placement/ort-cpu.ts';
import { quantizeActivationsForTensorRt, quantizeForTensorRt } from './placement/tensorrt.ts';
import { quantizeEarly } from './quantize-early.ts';
import type { Recipe, Rule, Treatment } from './recipe.ts';
import { INT8, type Range, type Scheme, UINT8 } from './scheme.ts';
import {
  type ActivationAssignment,
  type ActivationTarget,
  type Assignment,
  assignActivationTreatments,
  assignTreatments,
} from './targets.ts';
import { correctBias, correctsBias } from './techniques/correct-bias.ts';
import { storeAsIntegers } from './weight-only.ts';
import type { Additions, RoundedWeight } from './weights.ts';

/** What makes a range where a recipe does not say: best on the bundled model (docs/accuracy.md). */
const DEFAULT_OBSERVER = observerOf('mse');

/** The values whose statistics `quantizeModel` needs for a recipe, each once. */
export function valuesToObserve(model: Model, recipe: Recipe): string[] {
  const index = indexGraph(model.graph);
  const isStatic = ({ treatment, rule }: { treatment: Treatment; rule?: Rule | undefined }) =>
    treatment === 'static' && rule?.range === undefined;
  const corrects = correctsBias(recipe);
  const values = [
    ...assignTreatments(model, recipe).filter(isStatic).flatMap(valuesOfWeights),
    ...assignActivationTreatments(model, recipe).filter(isStatic).flatMap(valuesOfActivations),
  ];
  // What a bias is corrected by are the means of a layer's inputs.
  const corrected = assignTreatments(model, recipe).filter((each) => each.treatment !== 'float' && corrects(each));
  const others = [...corrected.map(({ activation }) => activation), ...clippedResults(model, recipe).keys()];
  return [...new Set([...values, ...others].map((name) => sourceOf(name, index)))];
}

function valuesOfWeights({ node, activation }: Assignment): string[] {
  return node.opType === 'Conv' ? [activation, ...node.output] : [activation];
}

function valuesOfActivations({ node, kind }: ActivationTarget): string[] {
  const [a = '', b = ''] = node.input;
  if (kind === 'deformable') return [a];
  return kind === 'sum' ? [a, b, ...node.output] : [a, b];
}

/** How many nodes with weights got each treatment, and how many of each kind that works on activations are INT8. */
export type TreatmentCounts = Readonly<Record<Treatment | ActivationTarget['kind'], number>>;

export interface Quantized {
  readonly model: Model;
  readonly counts: TreatmentCounts;
}

/** Where quantized places go, and in which form: what fuses differs from runtime to runtime. */
export const PLACEMENTS = ['ort-cpu', 'tensorrt'] as const;
export type Placement = (typeof PLACEMENTS)[number];

export interface QuantizeOptions {
  readonly placement?: Placement | undefined;
  /** What calibration saw; needed for static parts. */
  readonly statistics?: Statistics | undefined;
  /** Integers of weights that were chosen otherwise than by rounding to the nearest. */
  readonly rounded?: ReadonlyMap<string, RoundedWeight> | undefined;
  /** Ranges of values that are known otherwise than from statistics, such as learned ones. */
  readonly ranges?: ReadonlyMap<string, Range> | undefined;
}

/**
 * Quantizes a model by a recipe. `model` itself is not changed; what stays float is shared with it. For TensorRT, which has
 * no dynamic quantization, what a recipe makes dynamic stays float, as do embeddings.
 * @throws UsageError if the recipe does not fit the model, InputError if a range is missing or a weight is not finite
 */
export async function quantizeModel(
  model: Model,
  recipe: Recipe,
  { statistics = new Map(), rounded = new Map(), ranges = new Map(), placement = 'ort-cpu' }: QuantizeOptions = {},
): Promise<Quantized> {
  const quantized = copyModel(model);
  const { graph } = quantized;
  clipResults(quantized, recipe, statistics);
  const index = indexGraph(graph);
  const isTensorRt = placement === 'tensorrt';
  const assigned = treatTextDependent(assignTreatments(quantized, recipe), recipe, statistics, index);
  const assignments = isTensorRt ? assigned.map(keepStatic) : assigned;
  if (isTensorRt && !assignments.some(({ treatment }) => treatment === 'static'))
    throw new UsageError(
      `The recipe ${recipe.name} makes nothing static, and TensorRT has no dynamic quantization; use another, such as static.`,
    );
  await checkWeights(assignments);
  const byNode = new Map(assignments.map((assignment) => [assignment.node, assignment]));
  const activations = new Map(
    assignActivationTreatments(quantized, recipe)
      .filter(({ treatment, kind }) => !isTensorRt || (treatment === 'static' && kind !== 'deformable'))
      .map((target) => [target.node, target]),
  );
  const infos = isTensorRt ? inferShapes(quantized) : new Map();
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded };
  const dynamicActivations: DynamicActivations = new Map();
  const shared: StaticContext['shared'] = new Map();
  const contextOf = (rule: Rule | undefined): StaticContext => ({
    added,
    shared,
    sourceOf: (name) => sourceOf(name, index),
    bucketed: (source) => bucketedStatistic(recipe, statistics.get(source)),
    rangeOf: (name) => {
      const source = sourceOf(name, index);
      return ranges.get(source) ?? rangeOf(source, rule, statistics, recipe, isTensorRt ? INT8 : UINT8);
    },
  });
  const corrected = correctsBias(recipe);
  const correct = (assignment: Assignment, bias: Bias | undefined): Bias | undefined => {
    const statistic = bias && corrected(assignment) && statistics.get(sourceOf(assignment.activation, index));
    return statistic ? correctBias(assignment, bias, statistic, added) : bias;
  };
  const taken = new Set<NodeProto>();
  const replace = (node: NodeProto): NodeProto[] => {
    if (taken.has(node)) return [];
    const target = activations.get(node);
    if (target && isTensorRt) return quantizeActivationsForTensorRt(target, contextOf(target.rule), index, infos);
    if (target) return replaceActivations(target, dynamicActivations, contextOf(target.rule));
    const assignment = byNode.get(node);
    switch (assignment?.treatment) {
      case 'dynamic': {
        const bias = biasOf(node, index);
        const better = correct(assignment, bias);
        if (bias && better)
          bias.node.input = bias.node.input.map((name) => (name === bias.values ? better.values : name));
        return quantizeDynamically(assignment, dynamicActivations, added);
      }
      case 'static': {
        if (isTensorRt) return quantizeForTensorRt(assignment, contextOf(assignment.rule));
        const bias = correct(assignment, biasOf(node, index));
        if (bias) taken.add(bias.node);
        return quantizeStatically(assignment, bias, contextOf(assignment.rule));
      }
      case 'weights':
        return storeAsIntegers(assignment, added);
      default:
        return [node];
    }
  };
  const nodes = graph.node.flatMap(replace);
  graph.node = [...added.nodes, ...nodes];
  graph.initializer.push(...added.tensors);
  if (nodes.some(({ opType, domain }) => opType === INTEGER_PRODUCT && domain === CONTRIB)) declareContrib(quantized);
  await foldConstants(quantized);
  if (!isTensorRt) quantizeEarly(quantized);
  removeUnused(quantized);
  sortTopologically(graph);
  return { model: quantized, counts: countTreatments(assignments, [...activations.values()]) };
}

/** What is static, and in 8 bits; the rest float. */
function keepStatic(assignment: Assignment): Assignment {
  if (assignment.treatment === 'static' && assignment.weights.bits !== 8)
    throw new UsageError(
      `${assignment.path} has weights of 4 bits in the recipe, which TensorRT does not multiply by activations of 8; use 8 bits.`,
    );
  return assignment.treatment === 'static' ? assignment : { ...assignment, treatment: 'float' };
}

function replaceActivations(
  { node, kind, treatment }: ActivationAssignment,
  dynamicActivations: DynamicActivations,
  context: StaticContext,
): NodeProto[] {
  const isStatic = treatment === 'static';
  switch (kind) {
    case 'product':
      return isStatic ? quantizeProductStatically(node, context) : quantizeProduct(node, dynamicActivations);
    case 'deformable':
      return isStatic ? quantizeValuesStatically(node, context) : quantizeValues(node, dynamicActivations);
    case 'sum':
      return quantizeSum(node, context);
  }
}

/** The range of a value by the rule that applies to it. @throws InputError if it was not observed */
export function rangeOf(
  source: string,
  rule: Rule | undefined,
  statistics: Statistics,
  recipe: Recipe,
  scheme: Scheme,
): Range {
  if (rule?.range) return { min: rule.range[0], max: rule.range[1] };
  const statistic = statistics.get(source);
  if (!statistic)
    throw new InputError(
      `The recipe ${recipe.name} needs the range of ${source}, which was not observed; calibrate this model with --everything, or with this recipe.`,
    );
  const range = estimateRange(statistic, rule?.observer ?? DEFAULT_OBSERVER, scheme);
  const most = Math.max(-range.min, range.max);
  return rule?.symmetric ? { min: -most, max: most } : range;
}

/** What is static but changes with the text becomes dynamic, if the recipe says so. */
export function treatTextDependent(
  assignments: readonly Assignment[],
  recipe: Recipe,
  statistics: Statistics,
  index: GraphIndex,
): Assignment[] {
  const { text } = recipe;
  return assignments.map((assignment) => {
    const isCandidate =
      text?.treatment === 'dynamic' && assignment.treatment === 'static' && assignment.node.opType === 'MatMul';
    const statistic = isCandidate ? statistics.get(sourceOf(assignment.activation, index)) : undefined;
    const isDependent = text && statistic && textDependence(statistic).factor > text.factor;
    return isDependent ? { ...assignment, treatment: 'dynamic' } : assignment;
  });
}

/** The statistic of a value whose range is to be looked up by the length of the text, and where that length is found. */
function bucketedStatistic({ text }: Recipe, statistic: Statistic | undefined): ReturnType<StaticContext['bucketed']> {
  const isBucketed = text?.treatment === 'buckets' && statistic && textDependence(statistic).factor > text.factor;
  return isBucketed ? { statistic, length: text.length } : undefined;
}

function declareContrib(model: Model): void {
  model.functions.push(integerProductFunction());
  if (!model.opsetImport.some(({ domain }) => domain === CONTRIB))
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: CONTRIB, version: 1n }));
}

function countTreatments(
  assignments: readonly Assignment[],
  activations: readonly ActivationAssignment[],
): TreatmentCounts {
  const count = (treatment: Treatment) => assignments.filter((each) => each.treatment === treatment).length;
  const countKind = (kind: ActivationTarget['kind']) => activations.filter((target) => target.kind === kind).length;
  return {
    float: count('float'),
    dynamic: count('dynamic'),
    static: count('static'),
    weights: count('weights'),
    product: countKind('product'),
    deformable: countKind('deformable'),
    sum: countKind('sum'),
  };
}
