/**
 * What a recipe makes of a model, as data: which inputs and results of which nodes are rounded to integers, and how. It is
 * what `quantizeModel` does, for those who train with it first.
 */
import { UsageError } from '../base/errors.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import type { TensorProto } from '../onnx/types.ts';
import type { Statistics } from './observe/calibrate.ts';
import { sourceOf } from './observe/same-values.ts';
import { rangeOf, treatTextDependent } from './quantize.ts';
import type { Recipe, Rule } from './recipe.ts';
import { type Range, UINT8, type WeightScheme } from './scheme.ts';
import { assignActivationTreatments, assignTreatments } from './targets.ts';

/** An input or a result of a node. */
export interface Place {
  readonly node: string;
  readonly side: 'input' | 'output';
  readonly index: number;
}

export interface PlannedActivation extends Place {
  /** Where its numbers are made: those of one source have one range. */
  readonly source: string;
  /** What calibration found; undefined where the range is found at each run. */
  readonly range: Range | undefined;
}

export interface PlannedWeight extends Place {
  readonly weight: TensorProto;
  /** The axis with a scale for each entry. */
  readonly axis: number;
  readonly scheme: WeightScheme;
}

export interface QuantizationPlan {
  readonly activations: readonly PlannedActivation[];
  readonly weights: readonly PlannedWeight[];
}

/**
 * @throws UsageError if the recipe does not fit the model or looks ranges up by the length of the text, InputError if a
 * range was not observed
 */
export function planQuantization(model: Model, recipe: Recipe, statistics: Statistics): QuantizationPlan {
  if (recipe.text?.treatment === 'buckets')
    throw new UsageError(
      `The recipe ${recipe.name} looks ranges up by the length of the text, which cannot be trained; use treatment: dynamic.`,
    );
  if (recipe.rules.some(({ clip }) => clip !== undefined))
    throw new UsageError(`The recipe ${recipe.name} clips results, which cannot be trained; leave \`clip\` out.`);
  const index = indexGraph(model.graph);
  const activation = (place: Place, value: string, rule: Rule | undefined, isStatic: boolean): PlannedActivation => {
    const source = sourceOf(value, index);
    return { ...place, source, range: isStatic ? rangeOf(source, rule, statistics, recipe, UINT8) : undefined };
  };
  const input = (node: string, at: number): Place => ({ node, side: 'input', index: at });
  const output = (node: string): Place => ({ node, side: 'output', index: 0 });

  const assigned = treatTextDependent(assignTreatments(model, recipe), recipe, statistics, index);
  const quantized = assigned.filter(({ treatment }) => treatment !== 'float');
  const weights = quantized.map(({ node, weightInput, weight, channelAxis, weights: scheme }): PlannedWeight => {
    return { ...input(node.name, weightInput), weight, axis: channelAxis, scheme };
  });
  const ofWeights = quantized.flatMap(({ node, weightInput, activation: value, treatment, rule }) => {
    if (treatment === 'weights') return [];
    const isStatic = treatment === 'static';
    const taken = activation(input(node.name, 1 - weightInput), value, rule, isStatic);
    // A convolution is in integers only if its result is.
    return node.opType === 'Conv' && isStatic
      ? [taken, activation(output(node.name), node.output[0] ?? '', rule, isStatic)]
      : [taken];
  });
  const ofActivations = assignActivationTreatments(model, recipe).flatMap(({ node, kind, treatment, rule }) => {
    const isStatic = treatment === 'static';
    const taken = (at: number) => activation(input(node.name, at), node.input[at] ?? '', rule, isStatic);
    if (kind === 'deformable') return [taken(0)];
    if (kind === 'product') return [taken(0), taken(1)];
    return [taken(0), taken(1), activation(output(node.name), node.output[0] ?? '', rule, isStatic)];
  });
  return { activations: [...ofWeights, ...ofActivations], weights };
}
