/** Shape inference for nodes, functions and whole graphs. */

import { checkModelArgument } from '../check-model.ts';
import { operatorName } from '../opset.ts';
import type { Model } from '../read.ts';
import { isExternal, tensorElements } from '../tensor.ts';
import {
  DataType,
  type Dimension,
  type FunctionProto,
  type GraphProto,
  type NodeProto,
  type TensorInfo,
  type TensorProto,
} from '../types.ts';
import { valueInfoToTensorInfo } from '../value-info.ts';
import { computeRules } from './compute.ts';
import { elementwiseRules } from './elementwise.ts';
import { movementRules } from './movement.ts';
import { poolingRules } from './pooling.ts';
import { MAX_SHAPE_LENGTH, type Rule } from './rule.ts';

const rules: Record<string, Rule> = { ...elementwiseRules, ...movementRules, ...computeRules, ...poolingRules };

/** The facts about values by name. */
export type Infos = Map<string, TensorInfo>;

/** Finds the function that a node calls; returns undefined for operators. */
export type FindFunction = (domain: string, name: string) => FunctionProto | undefined;

/** Infers the facts about a node's outputs; nothing is known about those of operators without a rule. */
export function inferNode(
  node: NodeProto,
  known: Infos,
  findFunction: FindFunction,
): readonly (TensorInfo | undefined)[] {
  const inputs = node.input.map((name) => (name ? known.get(name) : undefined));
  const body = findFunction(node.domain, node.opType);
  if (body) return inferFunction(body, inputs, findFunction);
  const constant = node.attribute.find((attribute) => attribute.name === 'value')?.t;
  if (node.opType === 'Constant' && constant) return [tensorInfo(constant)];
  const name = operatorName(node);
  const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
  return rule ? rule({ node, inputs }) : node.output.map(() => undefined);
}

/** Infers the results of a function by inferring its body. */
function inferFunction(body: FunctionProto, inputs: readonly (TensorInfo | undefined)[], findFunction: FindFunction) {
  const known = inferBody(body, inputs, findFunction);
  return body.output.map((name) => known.get(name));
}

/** Infers the facts about the values in a function's body, with the facts about the arguments as those of the parameters. */
export function inferBody(
  body: FunctionProto,
  inputs: readonly (TensorInfo | undefined)[],
  findFunction: FindFunction,
): Infos {
  const known: Infos = new Map();
  for (const [index, name] of body.input.entries()) setKnown(known, name, inputs[index]);
  inferNodes(body.node, known, withoutFunction(body, findFunction));
  return known;
}

/** Finds all functions but one, so that a function that calls itself does not do so forever. */
export function withoutFunction(body: FunctionProto, findFunction: FindFunction): FindFunction {
  return (domain, name) => (domain === body.domain && name === body.name ? undefined : findFunction(domain, name));
}

function inferNodes(nodes: readonly NodeProto[], known: Infos, findFunction: FindFunction): void {
  for (const node of nodes) {
    const outputs = inferNode(node, known, findFunction);
    for (const [index, name] of node.output.entries()) setKnown(known, name, outputs[index]);
  }
}

function setKnown(known: Infos, name: string, info: TensorInfo | undefined): void {
  if (name && info) known.set(name, info);
}

/**
 * Infers types and shapes of the values of a model's main graph. The nodes must be in topological order.
 * @returns the facts about each value that something is known about
 * @example
 * const shape = inferShapes(model).get('logits')?.shape; // ['batch', 900, 256]
 */
export function inferShapes(model: Model): Infos {
  checkModelArgument(model);
  const known = declaredInfos(model.graph);
  inferNodes(model.graph.node, known, functionFinder(model.functions));
  return known;
}

/** The facts that a graph states about its inputs and initializers. */
function declaredInfos(graph: GraphProto): Infos {
  const known: Infos = new Map();
  for (const input of graph.input) setKnown(known, input.name, valueInfoToTensorInfo(input));
  for (const tensor of graph.initializer) known.set(tensor.name, tensorInfo(tensor));
  return known;
}

/** Returns what finds the functions of a model. */
export function functionFinder(functions: readonly FunctionProto[]): FindFunction {
  const byName = new Map(functions.map((body) => [`${body.domain}::${body.name}`, body]));
  return (domain, name) => byName.get(`${domain}::${name}`);
}

/** The facts about a stored tensor: its type and shape, and its values if it can be a shape itself. */
export function tensorInfo(tensor: TensorProto): TensorInfo {
  const type = tensor.dataType as DataType; // the numbers of the file are those of the enum
  const shape = tensor.dims.map(Number);
  const isShape = (type === DataType.INT64 || type === DataType.INT32) && shape.length <= 1 && !isExternal(tensor);
  if (!isShape || (shape[0] ?? 1) > MAX_SHAPE_LENGTH) return { type, shape };
  const values: Dimension[] = [];
  for (const element of tensorElements(tensor)) values.push(Number(element));
  return { type, shape, values };
}
