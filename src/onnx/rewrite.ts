/** Building blocks of rewrites. A rewrite changes a graph in place and returns the number of its changes. */

import { create } from '@bufbuild/protobuf';
import { NodeProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf';
import { append } from '../base/append.ts';
import { checkFields } from '../base/check-options.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { type AttributeValue, makeAttribute } from './attributes.ts';
import { usedBy } from './graph-index.ts';
import { nodesOf } from './traverse.ts';
import type { GraphProto, ModelProto, NodeProto } from './types.ts';

/**
 * Makes a node without a builder.
 * @param name the module path and, after a slash, what the node does: `model.encoder.layers.0.fc1/MatMul`
 * @example
 * const node = makeNode('Softmax', 'head.attn/Softmax', ['scores'], ['probabilities'], { axis: -1 });
 */
export function makeNode(
  opType: string,
  name: string,
  input: readonly string[],
  output: readonly string[],
  attributes: Readonly<Record<string, AttributeValue>> = {},
): NodeProto {
  if (![input, output].every((names) => Array.isArray(names) && names.every((each) => typeof each === 'string')))
    throw new UsageError('A node must have lists of names as its inputs and outputs.');
  if (![opType, name].every((each) => typeof each === 'string'))
    throw new UsageError('A node must have texts as its type and its name.');
  const attribute = Object.entries(attributes).map(([key, value]) => makeAttribute(key, value));
  return create(NodeProtoSchema, { opType, name, input: [...input], output: [...output], attribute });
}

/**
 * Returns a copy of a node with some fields changed. A spread would not do: it leaves out the fields that have their default
 * values, such as the domain ''.
 * @example
 * const second = copyNode(node, { name: `${node.name}.second`, output: ['y2'] });
 */
export function copyNode(
  node: NodeProto,
  changes: Partial<Pick<NodeProto, 'input' | 'output' | 'name'>> = {},
): NodeProto {
  // With its type's name, a spread would be taken for a message already.
  const { $typeName: _, input, output, ...fields } = node;
  return create(NodeProtoSchema, { ...fields, input: [...input], output: [...output], ...changes });
}

/** Declares that the model uses version 1 of a domain of operators, unless it does so already. */
export function importDomain(model: ModelProto, domain: string): void {
  if (!model.opsetImport.some((each) => each.domain === domain))
    model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain, version: 1n }));
}

/**
 * Returns the module path of a node: its name up to the last slash; empty if there is no slash.
 * @example
 * modulePath(makeNode('MatMul', 'model.encoder.fc1/MatMul', ['x', 'weight'], ['y'])); // 'model.encoder.fc1'
 */
export function modulePath(node: NodeProto): string {
  checkFields('The node must be a node of a graph', node, 'name');
  const slash = node.name.lastIndexOf('/');
  return slash < 0 ? '' : node.name.slice(0, slash);
}

/**
 * Replaces each use of the value `from` by `to`, in subgraphs too.
 * @param except nodes that keep using `from`
 * @returns the number of replaced uses
 * @example
 * const count = replaceUses(model.graph, 'relu', 'clipped');
 */
export function replaceUses(
  graph: GraphProto,
  from: string,
  to: string,
  except: ReadonlySet<NodeProto> = new Set(),
): number {
  checkFields('The graph must be that of a model', graph, 'node', 'output');
  let changes = 0;
  for (const node of nodesOf(graph)) {
    if (except.has(node)) continue;
    for (const [index, name] of node.input.entries())
      if (name === from) {
        node.input[index] = to;
        changes++;
      }
  }
  return changes;
}

/**
 * Removes nodes whose results are not used, and then initializers and functions that no node uses.
 * @returns the number of removed nodes, initializers and functions
 * @example
 * replaceUses(model.graph, 'dropout', 'x');
 * const removed = removeUnused(model);
 */
export function removeUnused(model: ModelProto): number {
  checkFields('The model must be one that was read or built', model, 'graph');
  const { graph } = model;
  if (!graph) return 0;
  const needed = new Set(graph.output.map((output) => output.name));
  const kept: NodeProto[] = [];
  for (const node of graph.node.toReversed()) {
    if (!node.output.some((name) => needed.has(name))) continue;
    for (const name of usedBy(node)) needed.add(name);
    kept.push(node);
  }
  const tensors = graph.initializer.filter((tensor) => needed.has(tensor.name));
  const functions = usedFunctions(model, kept);
  const removed =
    graph.node.length -
    kept.length +
    graph.initializer.length -
    tensors.length +
    model.functions.length -
    functions.length;
  graph.node = kept.reverse();
  graph.initializer = tensors;
  model.functions = functions;
  return removed;
}

/** The functions that `nodes` call, directly or through other functions. */
function usedFunctions(model: ModelProto, nodes: readonly NodeProto[]) {
  const called = new Set<string>();
  const visit = (node: NodeProto) => {
    const body = model.functions.find(({ domain, name }) => domain === node.domain && name === node.opType);
    const key = `${node.domain}::${node.opType}`;
    if (!body || called.has(key)) return;
    called.add(key);
    for (const inner of nodesOf(body)) visit(inner);
  };
  for (const node of nodes) visit(node);
  return model.functions.filter(({ domain, name }) => called.has(`${domain}::${name}`));
}

/**
 * Sorts nodes so that each follows the nodes whose results it needs, and keeps the order where it can.
 * @throws InputError if there is a cycle
 * @example
 * model.graph.node.push(makeNode('Relu', 'head/Relu', ['x'], ['y']));
 * sortTopologically(model.graph);
 */
export function sortTopologically(graph: GraphProto): void {
  checkFields('The graph must be that of a model', graph, 'node', 'initializer');
  const producer = new Map<string, NodeProto>();
  for (const node of graph.node) for (const name of node.output) producer.set(name, node);
  const state = new Map<NodeProto, 'open' | 'done'>();
  const sorted: NodeProto[] = [];
  for (const root of graph.node) {
    const stack = [root];
    while (stack.length > 0) {
      const node = stack.at(-1);
      if (!node || state.get(node) === 'done') {
        stack.pop();
        continue;
      }
      const missing = [...usedBy(node)]
        .flatMap((name) => producer.get(name) ?? [])
        .filter((p) => state.get(p) !== 'done');
      if (missing.length === 0) {
        state.set(node, 'done');
        sorted.push(node);
        stack.pop();
      } else if (state.get(node) === 'open')
        throw new InputError(
          `The graph ${graph.name} has a cycle at the node ${node.name || node.output[0]}, so that it cannot run; the file is damaged.`,
        );
      else {
        state.set(node, 'open');
        append(stack, missing.toReversed());
      }
    }
  }
  graph.node = sorted;
}
