/** A model and a recipe → an INT8 model. */
import { InputError } from '../base/errors.ts';
import { copyModel } from '../onnx/copy.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import type { NodeProto } from '../onnx/types.ts';
import { foldConstants } from '../runtime/fold-constants.ts';
import type { Ranges } from './calibrate.ts';
import { type DynamicActivations, quantizeDynamically, quantizeProduct, quantizeValues } from './dynamic.ts';
import type { Recipe, Treatment } from './recipe.ts';
import { observedValues, quantizeStatically, quantizeValuesStatically } from './static.ts';
import { type ActivationTarget, assignActivationTreatments, assignTreatments } from './targets.ts';
import { storeAsIntegers } from './weight-only.ts';
import type { Additions } from './weights.ts';

/** The values whose ranges `quantizeModel` needs for a recipe, each once. */
export function valuesToObserve(model: Model, recipe: Recipe): string[] {
  const isStatic = ({ treatment }: { treatment: Treatment }) => treatment === 'static';
  const products = assignTreatments(model, recipe).filter(isStatic).flatMap(observedValues);
  const values = assignActivationTreatments(model, recipe)
    .filter(isStatic)
    .map(({ node }) => node.input[0] ?? '');
  return [...new Set([...products, ...values])];
}

/** How many nodes with weights got each treatment, and how many products of activations and deformable attentions are INT8. */
export type TreatmentCounts = Readonly<Record<Treatment | ActivationTarget['kind'], number>>;

export interface Quantized {
  readonly model: Model;
  readonly counts: TreatmentCounts;
}

/**
 * Quantizes a model by a recipe. `model` itself is not changed; what stays float is shared with it.
 * @throws UsageError if the recipe does not fit the model, InputError if a range is missing
 */
export async function quantizeModel(model: Model, recipe: Recipe, ranges: Ranges = new Map()): Promise<Quantized> {
  const quantized = copyModel(model);
  const { graph } = quantized;
  const assignments = assignTreatments(quantized, recipe);
  const byNode = new Map(assignments.map((assignment) => [assignment.node, assignment]));
  const added: Additions = { nodes: [], tensors: [], weights: new Map() };
  const dynamicActivations: DynamicActivations = new Map();
  const staticActivations = new Map<string, string>();
  const rangeOf = (name: string) => {
    const range = ranges.get(name);
    if (!range)
      throw new InputError(
        `The recipe ${recipe.name} needs the range of ${name}; calibrate with the same recipe and model.`,
      );
    return range;
  };
  const activations = new Map(assignActivationTreatments(quantized, recipe).map((target) => [target.node, target]));
  const replace = (node: NodeProto): NodeProto[] => {
    const target = activations.get(node);
    if (target?.kind === 'product') return quantizeProduct(node, dynamicActivations);
    if (target?.treatment === 'static') return quantizeValuesStatically(node, rangeOf, added);
    if (target) return quantizeValues(node, dynamicActivations);
    const assignment = byNode.get(node);
    switch (assignment?.treatment) {
      case 'dynamic':
        return quantizeDynamically(assignment, dynamicActivations, added);
      case 'static':
        return quantizeStatically(assignment, rangeOf, staticActivations, added);
      case 'weights':
        return storeAsIntegers(assignment, added);
      default:
        return [node];
    }
  };
  const nodes = graph.node.flatMap(replace);
  graph.node = [...added.nodes, ...nodes];
  graph.initializer.push(...added.tensors);
  await foldConstants(quantized);
  removeUnused(quantized);
  const count = (treatment: Treatment) => assignments.filter((each) => each.treatment === treatment).length;
  const countKind = (kind: ActivationTarget['kind']) =>
    [...activations.values()].filter((target) => target.kind === kind).length;
  return {
    model: quantized,
    counts: {
      float: count('float'),
      dynamic: count('dynamic'),
      static: count('static'),
      weights: count('weights'),
      product: countKind('product'),
      deformable: countKind('deformable'),
    },
  };
}
