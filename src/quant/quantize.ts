/** A model and a plan → an INT8 model. */

import { append } from '../base/append.ts';
import { checkFields } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import { copyModel } from '../onnx/copy.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused, sortTopologically } from '../onnx/rewrite.ts';
import type { NodeProto } from '../onnx/types.ts';
import { foldConstants } from '../runtime/fold-constants.ts';
import { type Bias, biasOf } from './bias.ts';
import { checkWeights } from './check-weights.ts';
import { clipResults } from './clip-results.ts';
import type { Mode } from './operators/operator.ts';
import { countModes, type PlanCounts, type PlanOptions, planQuantization, type QuantizationPlan } from './plan.ts';
import type { PlanEntry } from './plan-entry.ts';
import { storePlanSummary, summarizePlan } from './plan-summary.ts';
import type { Recipe } from './recipe.ts';
import { type RangeSources, resolveRanges } from './resolve-ranges.ts';
import { isDefaultScheme } from './scheme.ts';
import type { PlacingContext } from './targets/target.ts';
import { correctBias } from './techniques/correct-bias.ts';
import { withoutPreparation } from './techniques/prepare.ts';
import { isRounding } from './techniques/round-model.ts';
import type { Additions, RoundedWeight } from './weights.ts';

/** A quantized model. */
export interface Quantized {
  /** The model with integers in it. */
  readonly model: Model;
  /** The number of nodes in each mode. */
  readonly counts: PlanCounts;
  /** The plan that was carried out, with its ranges, and with the modes in which the target computes its nodes. */
  readonly plan: QuantizationPlan;
}

/** Options of `quantizeModel`. `target` has no effect on a plan, which is made for one. */
export interface QuantizeOptions extends RangeSources, PlanOptions {
  /** Integers of weights that were chosen otherwise than by rounding to the nearest, by the name of the weight. */
  readonly rounded?: ReadonlyMap<string, RoundedWeight> | undefined;
}

/**
 * Quantizes a model by a plan, or by a recipe of which the plan is made. `model` itself is not changed; the parts that stay
 * float are shared with it.
 *
 * @param plan a plan of this model, or a recipe
 * @throws UsageError if the recipe does not fit the model or the target; InputError if statistics are missing, or if a weight
 * is not finite
 * @example
 * const { model: quantized } = await quantizeModel(model, await readRecipe('static'), { statistics });
 */
export async function quantizeModel(
  model: Model,
  plan: QuantizationPlan | Recipe,
  options: QuantizeOptions = {},
): Promise<Quantized> {
  checkModelArgument(model);
  checkFields('The plan must be what `planQuantization` or `readRecipe` returned', plan);
  checkFields('The options must be an object', options);
  const { rounded, target, ...sources } = options;
  checkTechniques('entries' in plan ? plan.recipe : plan, rounded !== undefined);
  const resolved = resolveRanges('entries' in plan ? plan : planQuantization(model, plan, { target }), sources);
  await checkWeights(resolved.entries);
  const quantized = copyModel(model);
  clipResults(quantized, resolved.clips);
  const modes = await placeEntries(quantized, resolved, rounded ?? new Map());
  const done = { ...resolved, entries: resolved.entries.map((entry) => inMode(entry, modes.get(entry.node.name))) };
  storePlanSummary(quantized, summarizePlan(done));
  return { model: quantized, counts: countModes(done), plan: done };
}

/** The entry of a node, in the mode in which a target computes it. If that is another one, the planned ranges do not apply. */
function inMode(entry: PlanEntry, mode = entry.mode): PlanEntry {
  if (mode === entry.mode) return entry;
  return { ...entry, mode, activations: entry.activations.map(({ range, byLength, ...place }) => place) };
}

/** @throws UsageError if a technique of the recipe has to be applied by another function first and was not */
function checkTechniques(recipe: Recipe, isRounded: boolean): void {
  if (withoutPreparation(recipe) !== recipe)
    throw new UsageError(
      `The recipe ${recipe.name} changes weights before ranges are found; apply prepareModel first, and quantize by withoutPreparation(recipe).`,
    );
  if (!isRounded && recipe.techniques.some((each) => isRounding(each) && !each.optional))
    throw new UsageError(
      `The recipe ${recipe.name} rounds weights by the inputs of their layers; pass the result of roundModel as \`rounded\`.`,
    );
}

/** Carries out a plan. Returns the modes of the nodes that the target computes in another one than planned, by their names. */
async function placeEntries(
  model: Model,
  { entries, target }: QuantizationPlan,
  rounded: ReadonlyMap<string, RoundedWeight>,
): Promise<ReadonlyMap<string, Mode>> {
  const { graph } = model;
  const index = indexGraph(graph);
  // The rewritten graph is a copy: its nodes are found by the values that they make.
  const planned = new Map(entries.filter(({ mode }) => mode !== 'float').map((entry) => [keyOf(entry.node), entry]));
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded };
  const biases = correctBiases(graph.node, planned, (node) => biasOf(node, index), added);
  const absorbed = new Set<NodeProto>();
  const context: PlacingContext = {
    added,
    shared: new Map(),
    biasOf: (node) => biases.get(node) ?? biasOf(node, index),
    absorb: (node) => absorbed.add(node),
  };
  const placed = graph.node.flatMap((node) => {
    if (absorbed.has(node)) return [];
    const entry = planned.get(keyOf(node));
    return entry ? target.place(entry, node, context) : [node];
  });
  graph.node = [...added.nodes, ...placed];
  append(graph.initializer, added.tensors);
  await foldConstants(model);
  const areToNearest = entries.every(({ weight }) => !weight || isDefaultScheme(weight.scheme));
  const modes = new Map<string, Mode>();
  await target.finish(model, rounded.size === 0 && areToNearest, modes);
  removeUnused(model);
  sortTopologically(graph);
  return modes;
}

const keyOf = ({ output }: NodeProto) => output[0] ?? '';

/** Makes the nodes that add biases add corrected ones. */
function correctBiases(
  nodes: readonly NodeProto[],
  planned: ReadonlyMap<string, PlanEntry>,
  biasOfNode: (node: NodeProto) => Bias | undefined,
  added: Additions,
): Map<NodeProto, Bias> {
  const biases = new Map<NodeProto, Bias>();
  for (const node of nodes) {
    const entry = planned.get(keyOf(node));
    const bias = entry?.correction && biasOfNode(node);
    if (!entry || !bias) continue;
    const corrected = correctBias(entry, bias, added);
    bias.node.input = bias.node.input.map((name) => (name === bias.values ? corrected.values : name));
    biases.set(node, corrected);
  }
  return biases;
}
