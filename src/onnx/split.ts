/** Splits a model into two that run one after the other, so that a decision can be made in between. */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { usedBy } from './graph-index.ts';
import { type Infos, inferShapes } from './infer/infer.ts';
import type { Model } from './read.ts';
import { removeUnused } from './rewrite.ts';
import type { GraphProto } from './types.ts';
import { makeValueInfo } from './value-info.ts';

/** The two parts of a model. */
export interface SplitModel {
  /** Computes the outputs `early` and the passed values. */
  readonly first: Model;
  /** Computes the other outputs from the passed values and the inputs. */
  readonly second: Model;
  /** The names of the values that the first part computes and the second needs, in the order of computation. */
  readonly passed: readonly string[];
}

/**
 * Splits a model: the first part has all nodes that the outputs `early` depend on, and the second has the others. Nodes and
 * tensors are shared with `model`.
 */
export function splitModel(model: Model, early: readonly string[]): SplitModel {
  const { graph } = model;
  const infos = inferShapes(model);
  const needed = new Set(early);
  const firstNodes = new Set<GraphProto['node'][number]>();
  for (const node of graph.node.toReversed()) {
    if (!node.output.some((name) => needed.has(name))) continue;
    firstNodes.add(node);
    for (const name of usedBy(node)) needed.add(name);
  }
  const made = graph.node.flatMap((node) => (firstNodes.has(node) ? node.output : []));
  const late = graph.output.map(({ name }) => name).filter((name) => !early.includes(name));
  const rest = graph.node.filter((node) => !firstNodes.has(node));
  const used = new Set([...rest.flatMap((node) => [...usedBy(node)]), ...late]);
  const passed = made.filter((name) => used.has(name));
  const part = (nodes: GraphProto['node'], inputs: readonly string[], outputs: readonly string[]) =>
    modelOf(model, infos, nodes, inputs, outputs);
  const inputs = graph.input.map(({ name }) => name);
  const direct = inputs.filter((name) => used.has(name));
  return {
    first: part(
      graph.node.filter((node) => firstNodes.has(node)),
      inputs.filter((name) => needed.has(name)),
      [...early, ...passed.filter((name) => !early.includes(name))],
    ),
    second: part(rest, [...direct, ...passed], late),
    passed,
  };
}

function modelOf(
  model: Model,
  infos: Infos,
  node: GraphProto['node'],
  inputs: readonly string[],
  outputs: readonly string[],
): Model {
  const { graph } = model;
  const declared = new Map([...graph.input, ...graph.output].map((info) => [info.name, info]));
  const describe = (name: string) => {
    const info = infos.get(name);
    const known = declared.get(name) ?? (info && makeValueInfo(name, info.type, info.shape));
    if (!known) throw new Error(`nothing is known of ${name}, which one part of the model passes to the other`);
    return known;
  };
  const part = create(GraphProtoSchema, {
    name: graph.name,
    node,
    initializer: graph.initializer,
    input: inputs.map(describe),
    output: outputs.map(describe),
  });
  const message = create(ModelProtoSchema, {
    irVersion: model.irVersion,
    producerName: model.producerName,
    opsetImport: model.opsetImport,
    functions: model.functions,
    graph: part,
  });
  const result = Object.assign(message, { graph: part });
  removeUnused(result);
  return result;
}
