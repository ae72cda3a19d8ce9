/** The techniques of a recipe that choose the integers of weights by the inputs of their layers. */
import type { WorkOptions } from '../../base/progress.ts';
import { indexGraph } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { matchesPath } from '../match-path.ts';
import { sourceOf } from '../observe/same-values.ts';
import type { SampleSource } from '../observe/sample.ts';
import type { QuantizationPlan } from '../plan.ts';
import type { PlannedWeight } from '../plan-entry.ts';
import type { Recipe, Technique } from '../recipe.ts';
import type { RoundedWeight } from '../weights.ts';
import { adaround } from './adaround.ts';
import { gptq } from './gptq.ts';
import { type Rounder, type RoundingTask, roundWeights } from './rounding.ts';
import { type LayerInput, secondMoments } from './second-moments.ts';

type RoundingTechnique = Extract<Technique, { technique: 'gptq' | 'adaround' }>;

/** True for the techniques that `roundModel` applies. */
export const isRounding = (each: Technique): each is RoundingTechnique =>
  each.technique === 'gptq' || each.technique === 'adaround';

/** True if a recipe needs samples to choose the integers of weights. */
export function roundsModel({ techniques }: Recipe): boolean {
  return techniques.some(isRounding);
}

const rounderOf = (each: RoundingTechnique): Rounder =>
  each.technique === 'gptq' ? gptq(each.damping) : adaround(each.iterations);

/** A weight to round, and the input of its layer. */
interface Layer {
  readonly weight: PlannedWeight;
  readonly input: LayerInput;
}

/**
 * Chooses the integers of the weights that the gptq and adaround techniques of the plan's recipe name: those of matrix
 * products that are computed in integers.
 *
 * @param plan a plan of `model`
 * @param source is read once more for each group of layers whose moments fit the memory
 * @returns the integers by the name of the weight
 * @example
 * const rounded = await roundModel(model, plan, source);
 * const { model: quantized } = await quantizeModel(model, plan, { statistics, rounded });
 */
export async function roundModel(
  model: Model,
  plan: QuantizationPlan,
  source: SampleSource,
  options: WorkOptions = {},
): Promise<Map<string, RoundedWeight>> {
  const rounded = new Map<string, RoundedWeight>();
  for (const technique of plan.recipe.techniques.filter(isRounding)) {
    const layers = layersOf(model, plan, technique.match);
    const inputs = new Map(layers.map(({ input }) => [input.value, input]));
    const moments = await secondMoments(model, [...inputs.values()], source, options);
    const tasks = layers.map(({ weight, input }): RoundingTask => {
      const ofInput = moments.get(input.value);
      if (!ofInput) throw new Error(`there are no moments of ${input.value}`);
      return { weight: weight.weight, scheme: weight.scheme, moments: ofInput };
    });
    const label = technique.technique === 'gptq' ? 'GPTQ' : 'AdaRound';
    await using rounder = rounderOf(technique);
    for (const [name, weight] of await roundWeights(tasks, rounder, options, label)) rounded.set(name, weight);
  }
  return rounded;
}

/** The layers to round, each weight once, with the input of its first layer: one that is computed in parts is rounded once. */
function layersOf(model: Model, { entries }: QuantizationPlan, match: readonly string[]): Layer[] {
  const index = indexGraph(model.graph);
  const layers = new Map<string, Layer>();
  for (const { path, weight, activations, quantizable } of entries) {
    const [activation] = activations;
    const isMatched = match.some((pattern) => matchesPath(pattern, path));
    if (!weight || !activation || quantizable.form !== 'weighted-product' || !isMatched) continue;
    // A part of a value has the moments of the whole, if the whole has the same channels: that of a split along rows.
    const isPart = index.producer.get(activation.value)?.opType === 'Split';
    const value = isPart ? sourceOf(activation.value, index) : activation.value;
    const input = { value, channels: Number(weight.weight.dims[0]) };
    if (!layers.has(weight.weight.name)) layers.set(weight.weight.name, { weight, input });
  }
  return [...layers.values()];
}
