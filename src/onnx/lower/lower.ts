/**
 * The portable form of a model: operators of the ONNX standard only, in a version that most runtimes know, without functions.
 * The model computes the same numbers.
 */
import { checkOptions, type OptionSchemas, optional, truth, wholeNumber } from '../../base/check-options.ts';
import { checkModelArgument } from '../check-model.ts';
import type { Model } from '../read.ts';
import { removeUnused } from '../rewrite.ts';
import { dropDomains } from './drop-domains.ts';
import { expandLayerNormalization } from './expand-layer-normalization.ts';
import { inlineFunctions } from './inline-functions.ts';
import { lowerOpset } from './lower-opset.ts';
import { sliceShapes } from './slice-shapes.ts';

/** The operators and versions that the runtime of a portable model knows. */
export interface PortableForm {
  /** The newest version of the standard operators that the runtime knows: 17 or later. A model in an older one keeps it. */
  readonly opset: number;
  /** False if the runtime does not have LayerNormalization, which is then written as its parts; true by default. */
  readonly layerNormalization?: boolean | undefined;
  /** False if the runtime does not read the start and the end of Shape; Slice then takes the part of the shape. True by default. */
  readonly shapeParts?: boolean | undefined;
}

const formSchemas: OptionSchemas<PortableForm> = {
  opset: wholeNumber(17, 1000),
  layerNormalization: optional(truth),
  shapeParts: optional(truth),
};

/**
 * Brings a model into its portable form.
 *
 * @param model is changed
 * @param source names the model in errors
 * @throws InputError if a node cannot be expressed in that version, or if a function of the file is damaged
 * @example
 * const model = copyModel(await readModel('detector.onnx'));
 * lowerModel(model, { opset: 17 });
 * await writeModel(model, 'portable.onnx');
 */
export function lowerModel(model: Model, form: PortableForm, source?: string): void {
  checkModelArgument(model);
  checkOptions('lowerModel', formSchemas, form);
  lowerChecked(model, form, source ?? model.graph.name);
}

function lowerChecked(
  model: Model,
  { opset, layerNormalization = true, shapeParts = true }: PortableForm,
  source: string,
): void {
  inlineFunctions(model, source);
  dropDomains(model, source);
  lowerOpset(model, opset, source);
  if (!layerNormalization) expandLayerNormalization(model, source);
  if (!shapeParts) sliceShapes(model);
  removeUnused(model);
}
