/** A copy of a model whose structure can be rewritten freely; the tensors are shared, as no rewrite changes one in place. */
import { clone } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import type { Model } from './read.ts';

export function copyModel(model: Model): Model {
  const { graph, ...rest } = model;
  const { initializer, ...body } = graph;
  const bare = clone(GraphProtoSchema, { ...body, initializer: [] });
  bare.initializer = [...initializer];
  const copy = clone(ModelProtoSchema, rest);
  copy.graph = bare;
  return Object.assign(copy, { graph: bare });
}
