/** Copies models for rewriting. */

import { clone } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { checkModelArgument } from './check-model.ts';
import type { Model } from './read.ts';

/**
 * Copies a model so that the structure of the copy can be rewritten freely. The tensors are shared, since no rewrite changes
 * a tensor in place.
 * @example
 * const changed = copyModel(model);
 * changed.graph.name = 'changed'; // the name of model.graph stays
 */
export function copyModel(model: Model): Model {
  checkModelArgument(model);
  const { graph, ...rest } = model;
  const { initializer, ...body } = graph;
  const bare = clone(GraphProtoSchema, { ...body, initializer: [] });
  bare.initializer = [...initializer];
  const copy = clone(ModelProtoSchema, rest);
  copy.graph = bare;
  return Object.assign(copy, { graph: bare });
}
