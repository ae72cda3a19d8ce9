/** Hands a model over to the engine: its functions are inlined, its constants copied, and its nodes come in an order in which they can run. */
import { AttributeProto_AttributeType as AttributeType } from 'onnx-buf';
import { findAttribute } from '../../onnx/attributes.ts';
import { constantTensor } from '../../onnx/constant-tensor.ts';
import { isStandard } from '../../onnx/graph-index.ts';
import { inlineFunctions } from '../../onnx/lower/inline-functions.ts';
import { isStandardDomain, operatorName, standardVersion } from '../../onnx/opset.ts';
import type { Model } from '../../onnx/parse.ts';
import { removeUnused, sortTopologically } from '../../onnx/rewrite.ts';
import { dimensionsOf, tensorBytes } from '../../onnx/tensor.ts';
import {
  type AttributeProto,
  DataType,
  type FunctionProto,
  type NodeProto,
  type TensorInfo,
  type TensorProto,
  type ValueInfoProto,
} from '../../onnx/types.ts';
import { valueInfoToTensorInfo } from '../../onnx/value-info.ts';
import type { TensorBytes } from '../../runtime/tensor.ts';
import { type EngineAttribute, EngineGraph, type EngineNode, hasElementType } from './engine-graph.ts';
import { EngineFailure, type EngineModule } from './engine-module.ts';
import { keptNodes } from './kept-nodes.ts';

/** An input of a graph: the number of its value, and what the model says of it. */
interface GraphInput {
  readonly value: number;
  readonly info: TensorInfo;
}

/** A graph that can run. */
export interface LoadedGraph {
  readonly graph: EngineGraph;
  readonly inputs: ReadonlyMap<string, GraphInput>;
  /** The numbers of the values that a run gives out. */
  readonly outputs: ReadonlyMap<string, number>;
}

/** The number of a value that a node leaves out. */
const NO_VALUE = -1;

/** The versions of the standard operators that the engine has: since 13 axes are inputs, and 21 is what dino8 writes. */
const VERSIONS = { oldest: 13, newest: 21 };

/**
 * Loads a model.
 * @param model is changed
 * @param source names the model in errors
 * @param steadyInputs names of inputs that are the same in most runs; those that the model lacks are left out
 * @throws EngineFailure or InputError, which says what the engine does not take
 */
export function loadGraph(
  engine: EngineModule,
  model: Model,
  source: string,
  steadyInputs: readonly string[],
): LoadedGraph {
  const version = standardVersion(model);
  if (version < VERSIONS.oldest || version > VERSIONS.newest)
    throw new EngineFailure(
      `it uses version ${version} of the ONNX operators, and the engine has those from ${VERSIONS.oldest} to ${VERSIONS.newest}`,
    );
  inlineUnknownFunctions(engine, model, source);
  sortTopologically(model.graph);
  shortenStandardDomain(model.graph.node);
  removeUnused(model); // which goes through the nodes from the last one
  checkOperators(engine, model.graph.node);
  const kept = keptNodes(model.graph, steadyInputs);
  const values = new ValueNumbers();
  const constants = constantsOf(model);
  const inputs = new Map<string, GraphInput>();
  for (const input of model.graph.input)
    if (!constants.has(input.name)) inputs.set(input.name, { value: values.of(input.name), info: infoOf(input) });
  const outputs = new Map(model.graph.output.map(({ name }) => [name, values.of(name)]));
  const stored = [...constants].map(([name, tensor]) => ({ name, tensor, value: values.of(name) }));
  const nodes: EngineNode[] = [];
  for (const node of model.graph.node) {
    if (isConstant(node)) continue;
    const filling = fillingOf(node);
    const added = filling ? [{ name: nameOf(node), tensor: filling, value: values.next() }] : [];
    stored.push(...added);
    nodes.push({
      domain: node.domain,
      type: node.opType,
      name: nameOf(node),
      opset: versionOfDomain(model, node.domain),
      attributes: node.attribute.filter(({ t }) => !t || t !== filling).map((each) => engineAttribute(each, node)),
      inputs: [...node.input.map((name) => values.of(name)), ...added.map(({ value }) => value)],
      outputs: node.output.map((name) => values.of(name)),
      isKept: kept.has(node),
    });
  }
  const graph = new EngineGraph(engine, values.count);
  try {
    for (const [name, { value }] of inputs) graph.addInput(value, steadyInputs.includes(name));
    for (const { name, tensor, value } of stored) graph.addConstant(value, storedBytes(name, tensor));
    for (const node of nodes) graph.addNode(node);
    for (const value of outputs.values()) graph.addOutput(value);
    graph.finish();
  } catch (error) {
    graph.release();
    throw error;
  }
  return { graph, inputs, outputs };
}

/** Gives numbers to the values of a model, which it knows by names. */
class ValueNumbers {
  readonly #numbers = new Map<string, number>();
  #count = 0;

  /** The number of a value; that of none for the empty name. */
  of(name: string): number {
    if (name === '') return NO_VALUE;
    const known = this.#numbers.get(name);
    if (known !== undefined) return known;
    const number = this.next();
    this.#numbers.set(name, number);
    return number;
  }

  /** The number of a value without a name. */
  next(): number {
    return this.#count++;
  }

  get count(): number {
    return this.#count;
  }
}

/** Functions that the engine has operators for stay calls of these, whatever body the file gives them, as in ONNX Runtime with dino8's kernels. */
function inlineUnknownFunctions(engine: EngineModule, model: Model, source: string): void {
  const isOperator = ({ domain, name, overload }: FunctionProto) => overload === '' && engine.hasOperator(domain, name);
  model.functions = model.functions.filter((body) => !isOperator(body));
  inlineFunctions(model, source);
}

/** Gives the operators of the standard one of the two names of their domain: the empty one. */
function shortenStandardDomain(nodes: readonly NodeProto[]): void {
  for (const node of nodes) if (isStandardDomain(node.domain)) node.domain = '';
}

/** @throws EngineFailure that names the first node whose operator the engine lacks */
function checkOperators(engine: EngineModule, nodes: readonly NodeProto[]): void {
  const known = new Set<string>();
  for (const node of nodes) {
    const operator = operatorName(node);
    if (known.has(operator) || isConstant(node)) continue;
    if (!engine.hasOperator(node.domain, node.opType))
      throw new EngineFailure(`the engine does not have the operator ${operator} of the node ${nameOf(node)}`);
    known.add(operator);
  }
}

function versionOfDomain(model: Model, domain: string): number {
  if (isStandardDomain(domain)) return standardVersion(model);
  return Number(model.opsetImport.find((each) => each.domain === domain)?.version ?? 1);
}

const nameOf = (node: NodeProto): string => node.name || (node.output.find(Boolean) ?? node.opType);

const isConstant = (node: NodeProto): boolean => isStandard(node, 'Constant');

/** The initializers of a model and the values of its Constant nodes, by their names. */
function constantsOf({ graph }: Model): Map<string, TensorProto> {
  const constants = new Map(graph.initializer.map((tensor) => [tensor.name, tensor]));
  for (const node of graph.node) if (isConstant(node)) constants.set(node.output[0] ?? '', constantOf(node));
  return constants;
}

function constantOf(node: NodeProto): TensorProto {
  const tensor = constantTensor(node, node.output[0] ?? '');
  if (!tensor) throw new EngineFailure(`the node ${nameOf(node)} (Constant) has no value that the engine takes`);
  return tensor;
}

/** The value that a ConstantOfShape repeats, which is an attribute in a model and an input in the engine. */
const fillingOf = (node: NodeProto): TensorProto | undefined =>
  isStandard(node, 'ConstantOfShape') ? findAttribute(node, 'value')?.t : undefined;

function storedBytes(name: string, tensor: TensorProto): TensorBytes {
  const type = tensor.dataType as DataType; // an enum on the wire
  if (!hasElementType(type))
    throw new EngineFailure(
      `the constant ${name} has the type ${DataType[type] ?? type}, which the engine does not have`,
    );
  return { type, shape: dimensionsOf(tensor), bytes: tensorBytes(tensor) };
}

function infoOf(input: ValueInfoProto): TensorInfo {
  const info = valueInfoToTensorInfo(input);
  if (!info || !hasElementType(info.type))
    throw new EngineFailure(
      `the input ${input.name} is ${info ? `of the type ${DataType[info.type] ?? info.type}` : 'no tensor'}, which the engine does not have`,
    );
  return info;
}

function engineAttribute(attribute: AttributeProto, node: NodeProto): EngineAttribute {
  const { name, type, refAttrName } = attribute;
  if (!refAttrName)
    switch (type) {
      case AttributeType.INT:
        return { name, integers: [attribute.i] };
      case AttributeType.INTS:
        return { name, integers: attribute.ints };
      case AttributeType.FLOAT:
        return { name, floats: [attribute.f] };
      case AttributeType.FLOATS:
        return { name, floats: attribute.floats };
      case AttributeType.STRING:
        return { name, text: attribute.s };
    }
  throw new EngineFailure(
    `the node ${nameOf(node)} (${node.opType}) has the attribute ${name} of a kind that the engine does not have`,
  );
}
