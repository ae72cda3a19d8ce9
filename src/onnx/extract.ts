/** Extracts a part of a model: everything between two sets of values. */

import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { InputError } from '../base/errors.ts';
import { checkModelArgument } from './check-model.ts';
import { usedBy } from './graph-index.ts';
import { inferShapes } from './infer/infer.ts';
import type { Model } from './read.ts';
import { removeUnused } from './rewrite.ts';
import type { TensorProto } from './types.ts';
import { declarationsWithin, makeValueInfo } from './value-info.ts';

/**
 * Returns the model that computes `outputs` from `inputs`. Nodes and weights are shared with `model`, and the metadata and the
 * declared shapes are kept.
 * @param inputs names of values of `model`, which need not be inputs of it
 * @param outputs names of values of `model`
 * @param constants values that take the place of other inputs of `model`
 * @throws InputError if a value does not exist, or if the outputs depend on more than the inputs
 * @example
 * const backbone = extractModel(model, ['pixel_values'], ['features']);
 */
export function extractModel(
  model: Model,
  inputs: readonly string[],
  outputs: readonly string[],
  constants: readonly TensorProto[] = [],
): Model {
  checkModelArgument(model);
  const { graph } = model;
  const infos = inferShapes(model);
  const declared = new Map([...graph.input, ...graph.output].map((info) => [info.name, info]));
  const describe = (name: string) => {
    const info = infos.get(name);
    const known = declared.get(name) ?? (info && makeValueInfo(name, info.type, info.shape));
    if (!known) throw new InputError(`${graph.name} has no value ${name}; is it a model made by dino8?`);
    return known;
  };
  const given = new Set(inputs);
  const part = create(GraphProtoSchema, {
    name: graph.name,
    node: graph.node.filter((node) => !node.output.some((name) => given.has(name))),
    initializer: [...graph.initializer, ...constants],
    input: inputs.map(describe),
    output: outputs.map(describe),
  });
  const extracted = create(ModelProtoSchema, {
    irVersion: model.irVersion,
    producerName: model.producerName,
    opsetImport: model.opsetImport,
    functions: model.functions,
    metadataProps: model.metadataProps,
    graph: part,
  });
  const result = Object.assign(extracted, { graph: part });
  removeUnused(result);
  part.valueInfo = declarationsWithin(part, graph.valueInfo);
  const made = new Set([
    ...inputs,
    ...part.initializer.map((tensor) => tensor.name),
    ...part.node.flatMap((node) => node.output),
  ]);
  const missing = part.node.flatMap((node) => [...usedBy(node)]).find((name) => !made.has(name));
  if (missing !== undefined) throw new InputError(`${outputs.join(', ')} of ${graph.name} also depend on ${missing}.`);
  return result;
}
