/** A model from any exporter → the same model in the form that dino8 works on. */
import { findHardSwish } from '../../onnx/import/find-hard-swish.ts';
import { foldAffine } from '../../onnx/import/fold-affine.ts';
import { fixDefaults, nameNodes, storeConstants } from '../../onnx/import/plain-graph.ts';
import { raiseOpset } from '../../onnx/import/raise-opset.ts';
import type { Model } from '../../onnx/read.ts';
import { sortTopologically } from '../../onnx/rewrite.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';

/** Constants above this many bytes are left to be computed at each run: folding must not make a file much larger. */
const LARGEST_CONSTANT = 1 << 26;

/**
 * Prepares a model, in place. It computes the same up to rounding: constants become initializers, nodes get unique names
 * that are paths, the operator set is raised to 21, and batch normalisation and other affine maps move into the layers
 * before them.
 *
 * @param source names the model in errors
 * @throws InputError if the model uses an operator of an old version for which there is no conversion
 */
export async function prepareModel(model: Model, source: string): Promise<void> {
  const { graph } = model;
  storeConstants(graph);
  fixDefaults(graph);
  sortTopologically(graph);
  raiseOpset(model, source);
  nameNodes(graph);
  await foldConstants(model, LARGEST_CONSTANT);
  findHardSwish(model);
  if (foldAffine(model) > 0) await foldConstants(model, LARGEST_CONSTANT);
}
