/**
 * Splits off the part of a model that depends on some of its inputs alone, such as the mask of an image and not its pixels, so
 * that it need not run again while these inputs stay the same.
 */
import { extractModel } from './extract.ts';
import { usedBy } from './graph-index.ts';
import { inferShapes } from './infer/infer.ts';
import type { Model } from './read.ts';
import type { SplitModel } from './split.ts';
import { findSteadyNodes, leaveWidening } from './steady-nodes.ts';
import type { NodeProto } from './types.ts';

/**
 * Splits a model: the first part computes what depends on `inputs` alone and is read by other nodes, and the second computes the
 * outputs. Operators at the end of the first part that only make its results larger are left to the second.
 *
 * The second part takes the inputs that it reads and the others of the model. Nodes and weights are shared with `model`.
 * @returns undefined if no node depends on these inputs alone, or if the model has none of them
 */
export function splitOffInputs(model: Model, inputs: readonly string[]): SplitModel | undefined {
  const { graph } = model;
  const [ofFirst, others] = [new Set(inputs), graph.input.map(({ name }) => name)];
  const outputs = graph.output.map(({ name }) => name);
  const infos = inferShapes(model);
  // Values that are passed need a type, and outputs are computed by the second part.
  const isInner = ({ output }: NodeProto) =>
    output.every((name) => name === '' || (infos.has(name) && !outputs.includes(name)));
  const given = others.filter((name) => ofFirst.has(name));
  const { nodes: early } = findSteadyNodes(graph, given, isInner);
  leaveWidening(graph, early);
  const rest = graph.node.filter((node) => !early.has(node));
  const read = new Set(rest.flatMap((node) => [...usedBy(node)]));
  const passed = [...early].flatMap(({ output }) => output).filter((name) => read.has(name));
  if (passed.length === 0) return undefined;
  const direct = others.filter((name) => !ofFirst.has(name) || read.has(name) || outputs.includes(name));
  return {
    first: extractModel(model, given, passed),
    second: extractModel(model, [...direct, ...passed], outputs),
    passed,
  };
}
