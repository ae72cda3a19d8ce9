/** The techniques of a recipe that choose integers of weights by what their inputs are. */
import type { WorkOptions } from '../../base/progress.ts';
import { indexGraph } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { sourceOf } from '../observe/same-values.ts';
import type { SampleSource } from '../observe/sample.ts';
import { matchesPath, type Recipe, type Technique } from '../recipe.ts';
import { type Assignment, assignTreatments } from '../targets.ts';
import type { RoundedWeight } from '../weights.ts';
import { adaround } from './adaround.ts';
import { gptq } from './gptq.ts';
import { type Rounder, type RoundingTask, roundWeights } from './rounding.ts';
import { type LayerInput, secondMoments } from './second-moments.ts';

type RoundingTechnique = Extract<Technique, { technique: 'gptq' | 'adaround' }>;

const isRounding = (each: Technique): each is RoundingTechnique =>
  each.technique === 'gptq' || each.technique === 'adaround';

/** True if a recipe needs images to choose the integers of weights. */
export function roundsModel({ techniques }: Recipe): boolean {
  return techniques.some(isRounding);
}

const rounderOf = (each: RoundingTechnique): Rounder =>
  each.technique === 'gptq' ? gptq(each.damping) : adaround(each.iterations);

/**
 * Chooses the integers of the weights that the recipe's gptq and adaround techniques name.
 *
 * @param source is read once more for each group of layers whose moments fit the memory
 * @returns the integers by the name of the weight
 */
export async function roundModel(
  model: Model,
  recipe: Recipe,
  source: SampleSource,
  options: WorkOptions = {},
): Promise<Map<string, RoundedWeight>> {
  const index = indexGraph(model.graph);
  const targets = assignTreatments(model, recipe).filter(
    ({ treatment, node }) => node.opType === 'MatMul' && (treatment === 'dynamic' || treatment === 'static'),
  );
  const rounded = new Map<string, RoundedWeight>();
  for (const technique of recipe.techniques.filter(isRounding)) {
    const chosen = byWeight(
      targets.filter(({ path }) => technique.match.some((pattern) => matchesPath(pattern, path))),
    );
    const inputs = new Map(chosen.map(inputOf).map((input) => [input.value, input]));
    const moments = await secondMoments(model, [...inputs.values()], source, options);
    const tasks = chosen.map((target): RoundingTask => {
      const ofInput = moments.get(inputOf(target).value);
      if (!ofInput) throw new Error(`there are no moments of ${target.activation}`);
      return { weight: target.weight, scheme: target.weights, moments: ofInput };
    });
    const label = technique.technique === 'gptq' ? 'GPTQ' : 'AdaRound';
    for (const [name, weight] of await roundWeights(tasks, rounderOf(technique), options, label))
      rounded.set(name, weight);
  }
  return rounded;

  function inputOf({ activation, weight }: Assignment): LayerInput {
    const origin = sourceOf(activation, index);
    const channels = Number(weight.dims[0]);
    // A part of a value has the moments of the whole, if the whole has the same channels: that of a split along rows.
    const isWhole = index.producer.get(activation)?.opType === 'Split';
    return { value: isWhole ? origin : activation, channels };
  }
}

/** The first of the targets that share a weight: a layer that is computed in parts is rounded once. */
function byWeight(targets: readonly Assignment[]): Assignment[] {
  return [...new Map(targets.toReversed().map((target) => [target.weight.name, target])).values()].toReversed();
}
