/**
 * Splits off the part of a model that depends on some of its inputs alone, such as the mask of an image and not its pixels, so
 * that it need not run again while these inputs stay the same.
 */
import { extractModel } from './extract.ts';
import { indexGraph, isStandard, usedBy } from './graph-index.ts';
import { inferShapes } from './infer/infer.ts';
import type { Model } from './read.ts';
import type { SplitModel } from './split.ts';
import type { NodeProto } from './types.ts';

/**
 * Operators whose results usually have more bytes than what they read: they repeat numbers, or store them wider. Cast is none of
 * them, since it makes numbers narrower as often.
 */
const WIDENING = ['DequantizeLinear', 'Expand', 'Gather', 'GatherND'];

/** Operators whose results are the numbers that they read. */
const RESHAPING = ['Reshape', 'Squeeze', 'Unsqueeze'];

/**
 * Splits a model: the first part computes what depends on `inputs` alone and is read by other nodes, and the second computes the
 * outputs. Operators at the end of the first part that only make its results larger are left to the second: their results
 * would take memory for as long as they are kept, and reading them takes about as long as making them again.
 *
 * The second part takes the inputs that it reads and the others of the model. Nodes and weights are shared with `model`.
 * @returns undefined if no node depends on these inputs alone, or if the model has none of them
 */
export function splitOffInputs(model: Model, inputs: readonly string[]): SplitModel | undefined {
  const { graph } = model;
  const early = nodesOfInputs(model, inputs);
  leaveWidening(model, early);
  const rest = graph.node.filter((node) => !early.has(node));
  const read = new Set(rest.flatMap((node) => [...usedBy(node)]));
  const passed = [...early].flatMap(({ output }) => output).filter((name) => read.has(name));
  if (passed.length === 0) return undefined;
  const [ofFirst, others] = [new Set(inputs), graph.input.map(({ name }) => name)];
  const outputs = graph.output.map(({ name }) => name);
  const direct = others.filter((name) => !ofFirst.has(name) || read.has(name) || outputs.includes(name));
  return {
    first: extractModel(
      model,
      others.filter((name) => ofFirst.has(name)),
      passed,
    ),
    second: extractModel(model, [...direct, ...passed], outputs),
    passed,
  };
}

/** The nodes that depend on some of `inputs`, on no other inputs, and compute no output of the model, in their order. */
function nodesOfInputs(model: Model, inputs: readonly string[]): Set<NodeProto> {
  const { graph } = model;
  const infos = inferShapes(model);
  const outputs = new Set(graph.output.map(({ name }) => name));
  const given = new Set(graph.input.map(({ name }) => name));
  const dependent = new Set(inputs.filter((name) => given.has(name)));
  const constant = new Set(graph.initializer.map(({ name }) => name).filter((name) => !given.has(name)));
  const early = new Set<NodeProto>();
  for (const node of graph.node) {
    const used = [...usedBy(node)];
    const results = node.output.filter(Boolean);
    const isInner = results.every((name) => infos.has(name) && !outputs.has(name));
    if (!isInner || !used.every((name) => dependent.has(name) || constant.has(name))) continue;
    const isDependent = used.some((name) => dependent.has(name));
    if (isDependent) early.add(node);
    for (const name of results) (isDependent ? dependent : constant).add(name);
  }
  return early;
}

/** Takes out nodes whose results are read by other nodes than `early` alone and only repeat or widen what they read. */
function leaveWidening({ graph }: Model, early: Set<NodeProto>): void {
  const { producer, consumers } = indexGraph(graph);
  const isOneOf = (node: NodeProto, operators: readonly string[]) =>
    operators.some((operator) => isStandard(node, operator));
  const isWidened = (node: NodeProto | undefined): boolean => {
    if (!node || !early.has(node)) return false;
    return isOneOf(node, WIDENING) || (isOneOf(node, RESHAPING) && isWidened(producer.get(node.input[0] ?? '')));
  };
  const isReadLate = ({ output }: NodeProto) =>
    output.every((name) => (consumers.get(name) ?? []).every((reader) => !early.has(reader)));
  for (const node of graph.node.toReversed()) if (isReadLate(node) && isWidened(node)) early.delete(node);
}
