/**
 * Replaces calls of model-local functions by copies of their bodies (https://onnx.ai/onnx/repo-docs/IR.html#functions), for
 * runtimes that do not know functions. The nodes of a call get the call's name in front, so that module paths, and with them
 * recipes and reports, stay valid, and the names of values do not depend on the runtime that inlines.
 */
import { create } from '@bufbuild/protobuf';
import { AttributeProtoSchema, GraphProtoSchema, TensorProtoSchema, ValueInfoProtoSchema } from 'onnx-buf';
import { InputError } from '../../base/errors.ts';
import { checkCalls, functionsByKey, keyOfCall } from '../check-calls.ts';
import { isStandardDomain, standardVersion, versionOf } from '../opset.ts';
import type { Model } from '../read.ts';
import { copyNode, importDomain, makeNode } from '../rewrite.ts';
import { nodesOf, subgraphsOf } from '../traverse.ts';
import type { AttributeProto, FunctionProto, GraphProto, NodeProto } from '../types.ts';
import { changedBetween } from './changed-between.ts';
import { UniqueNames } from './unique-names.ts';

/** The state that all calls of a model share. */
interface Inliner {
  readonly model: Model;
  readonly source: string;
  readonly functions: ReadonlyMap<string, FunctionProto>;
  /** The initializers that the constants of a function became, by the constant's name in the function. */
  readonly constants: Map<FunctionProto, ReadonlyMap<string, string>>;
  readonly names: UniqueNames;
}

/**
 * Inlines all functions of a model, in subgraphs and in other functions too. The constants of a function are stored once for
 * all of its calls.
 *
 * @param model is changed
 * @param source names the model in errors
 * @returns the number of calls that were replaced
 * @throws InputError if functions call each other in a circle, or would make more nodes than any real model has
 * @example
 * const calls = inlineFunctions(model, 'model.onnx');
 */
export function inlineFunctions(model: Model, source: string): number {
  if (model.functions.length === 0) return 0;
  const inliner: Inliner = {
    model,
    source,
    functions: functionsByKey(model),
    constants: new Map(),
    names: UniqueNames.of(model.graph),
  };
  checkCalls(model, source);
  const calls = inlineGraph(model.graph, inliner);
  model.functions = [];
  return calls;
}

const functionOf = (call: NodeProto, { functions }: Inliner) => functions.get(keyOfCall(call));

function inlineGraph(graph: GraphProto, inliner: Inliner): number {
  let calls = 0;
  graph.node = graph.node.flatMap((node) => {
    for (const inner of subgraphsOf(node)) calls += inlineGraph(inner, inliner);
    const body = functionOf(node, inliner);
    if (!body) return [node];
    calls++;
    return expand(node, body, inliner);
  });
  return calls;
}

/** The nodes of one call, in which no call is left. */
function expand(call: NodeProto, body: FunctionProto, inliner: Inliner): NodeProto[] {
  checkCall(call, body, inliner);
  const { names } = inliner;
  const prefix = call.name || (call.output.find(Boolean) ?? body.name);
  const constants = storedConstants(body, inliner);
  const scope = new Map(constants);
  for (const [index, name] of body.input.entries()) scope.set(name, call.input[index] ?? '');
  // A result that is a parameter or a constant, or that the call gives out twice, needs a node that copies it.
  const results = new Map<string, string>();
  const copied: [name: string, result: string][] = [];
  for (const [index, name] of body.output.entries()) {
    const result = call.output[index];
    if (!result) continue;
    if (scope.has(name) || results.has(name)) copied.push([name, result]);
    else results.set(name, result);
  }
  const attributes = new Map([...body.attributeProto, ...call.attribute].map((each) => [each.name, each]));
  const place: Place = { scope, results, prefix, attributes, body, inliner };
  const nodes = body.node
    .filter((node) => !constants.has(node.output[0] ?? ''))
    .flatMap((node) => {
      const copy = copyInto(node, place);
      for (const graph of subgraphsOf(copy)) inlineGraph(graph, inliner);
      const inner = functionOf(copy, inliner);
      return inner ? expand(copy, inner, inliner) : [copy];
    });
  const identities = copied.map(([name, result]) =>
    makeNode('Identity', names.take(`${prefix}.Identity`), [scope.get(name) ?? ''], [result]),
  );
  return [...nodes, ...identities];
}

function checkCall(call: NodeProto, body: FunctionProto, inliner: Inliner): void {
  if (call.input.length > body.input.length || call.output.length > body.output.length)
    throw new InputError(
      `${inliner.source}: the node ${call.name || call.output[0]} has more inputs or outputs than the function ${body.name}; the file is damaged.`,
    );
  if (!inliner.constants.has(body)) checkVersions(body, inliner);
}

/** A function may use another version of the operators than the graph, if its operators do not differ between them. */
function checkVersions(body: FunctionProto, { model, source }: Inliner): void {
  for (const { domain } of body.opsetImport) if (!isStandardDomain(domain)) importDomain(model, domain);
  const own = versionOf(body.opsetImport);
  const version = standardVersion(model);
  if (own === undefined || own === version) return;
  for (const { opType, domain } of nodesOf(body))
    if (isStandardDomain(domain) && changedBetween(opType, own, version))
      throw new InputError(
        `${source}: the function ${body.name} uses ${opType} of version ${own} of the ONNX operators, which differs in the model's version ${version}; export the model with its functions inlined.`,
      );
}

/** Makes initializers of the constants of a function, once for all calls. */
function storedConstants(body: FunctionProto, { constants, model, names }: Inliner): ReadonlyMap<string, string> {
  const known = constants.get(body);
  if (known) return known;
  const stored = new Map<string, string>();
  for (const { opType, domain, output, attribute } of body.node) {
    const [name = ''] = output;
    const tensor = opType === 'Constant' && isStandardDomain(domain) ? attribute[0]?.t : undefined;
    if (!tensor || attribute[0]?.refAttrName) continue;
    const { $typeName: _, ...fields } = tensor;
    const initializer = names.take(`${body.name}.${name}`);
    model.graph.initializer.push(create(TensorProtoSchema, { ...fields, name: initializer }));
    stored.set(name, initializer);
  }
  constants.set(body, stored);
  return stored;
}

/** The place that nodes of a function are copied to: the graph of the call, or a subgraph there. */
interface Place {
  /** The names in the graph of values of the function. */
  readonly scope: Map<string, string>;
  /** The names that results of the function have in the graph. */
  readonly results: ReadonlyMap<string, string>;
  /** The beginning of the names of all nodes and values. */
  readonly prefix: string;
  /** The attributes of the call, with the defaults of the function. */
  readonly attributes: ReadonlyMap<string, AttributeProto>;
  readonly body: FunctionProto;
  readonly inliner: Inliner;
}

function copyInto(node: NodeProto, place: Place): NodeProto {
  const { scope, results, prefix, body, inliner } = place;
  const input = node.input.map((name) => {
    const known = name ? scope.get(name) : '';
    if (known === undefined)
      throw new InputError(
        `${inliner.source}: the function ${body.name} uses the value ${name}, which it does not have; the file is damaged.`,
      );
    return known;
  });
  // Subgraphs see the values before the node, not its results.
  const attribute = node.attribute.flatMap((each) => copyAttribute(each, place));
  const output = node.output.map((name) => {
    if (!name) return '';
    const taken = results.get(name) ?? inliner.names.take(`${prefix}.${name}`);
    scope.set(name, taken);
    return taken;
  });
  const copy = copyNode(node, { name: inliner.names.take(`${prefix}.${node.name || node.opType}`), input, output });
  copy.attribute = attribute;
  return copy;
}

/** An attribute with its reference to one of the call resolved; none if the call does not give that one. */
function copyAttribute(attribute: AttributeProto, place: Place): AttributeProto[] {
  const { $typeName: _, name, ...fields } = attribute;
  if (attribute.refAttrName) {
    const given = place.attributes.get(attribute.refAttrName);
    if (!given) return [];
    const { $typeName: __, ...values } = given;
    return [create(AttributeProtoSchema, { ...values, name })];
  }
  if (!attribute.g && attribute.graphs.length === 0) return [attribute];
  const graphs = attribute.graphs.map((graph) => copyGraph(graph, place));
  const g = attribute.g && copyGraph(attribute.g, place);
  return [create(AttributeProtoSchema, { ...fields, name, graphs, ...(g && { g }) })];
}

/** A subgraph of a body. All of its names are new ones, also those that hide a name outside of it. */
function copyGraph({ $typeName: _, ...graph }: GraphProto, place: Place): GraphProto {
  const scope = new Map(place.scope);
  const rename = (name: string) => {
    const taken = place.inliner.names.take(`${place.prefix}.${name}`);
    scope.set(name, taken);
    return taken;
  };
  const input = graph.input.map(({ $typeName: __, ...each }) =>
    create(ValueInfoProtoSchema, { ...each, name: rename(each.name) }),
  );
  const initializer = graph.initializer.map(({ $typeName: __, ...each }) =>
    create(TensorProtoSchema, { ...each, name: rename(each.name) }),
  );
  const inner: Place = { ...place, scope, results: new Map() };
  const node = graph.node.map((each) => copyInto(each, inner));
  const output = graph.output.map(({ $typeName: __, ...each }) =>
    create(ValueInfoProtoSchema, { ...each, name: scope.get(each.name) ?? each.name }),
  );
  return create(GraphProtoSchema, { ...graph, input, initializer, node, output, valueInfo: [] });
}
