/** Removes nodes whose result equals one of their inputs, such as masks and paddings after sizes have become static. */
import { indexGraph } from './graph-index.ts';
import { type Infos, inferShapes } from './infer/infer.ts';
import type { Model } from './read.ts';
import { removeUnused, replaceUses } from './rewrite.ts';
import { dimensionsOf, isExternal, tensorElements } from './tensor.ts';
import { elementCount, type NodeProto, type TensorProto } from './types.ts';

/** Constants with more elements are not examined. */
const MAX_ELEMENTS = 1 << 22;

/**
 * Removes additions of 0, multiplications by 1, Where with a constant condition of one value, Pad by 0, and Slice of
 * everything, provided that the shape does not change.
 * @returns the number of removed nodes
 */
export function removeNoOps(model: Model): number {
  const { graph } = model;
  const infos = inferShapes(model);
  const { initializer } = indexGraph(graph);
  const results = new Set(graph.output.map((output) => output.name));
  const replacements = new Map<string, string>();
  const current = (name: string): string => {
    const next = replacements.get(name);
    return next === undefined ? name : current(next);
  };
  for (const node of graph.node) {
    const [output = ''] = node.output;
    const kept = node.domain === '' ? keptInput(node, initializer, infos) : undefined;
    if (kept === undefined || results.has(output) || !sameShape(infos, kept, output)) continue;
    replacements.set(output, current(kept));
  }
  for (const [from, to] of replacements) replaceUses(graph, from, current(to));
  removeUnused(model);
  return replacements.size;
}

/** The input that a node returns unchanged, if its shape is that of the output. */
function keptInput(node: NodeProto, constants: ReadonlyMap<string, TensorProto>, infos: Infos): string | undefined {
  const [a = '', b = '', c = ''] = node.input;
  const isAll = (name: string, value: number) => everyElement(constants.get(name), value);
  const neutral = (value: number) => (isAll(b, value) ? a : isAll(a, value) ? b : undefined);
  switch (node.opType) {
    case 'Add':
      return neutral(0);
    case 'Mul':
      return neutral(1);
    case 'Where':
      return isAll(a, 1) ? b : isAll(a, 0) ? c : undefined;
    case 'Pad':
      return isAll(b, 0) ? a : undefined;
    case 'Slice':
      return isAll(b, 0) && (!node.input[4] || isAll(node.input[4], 1)) && infos.get(a)?.shape ? a : undefined;
    default:
      return undefined;
  }
}

function everyElement(tensor: TensorProto | undefined, value: number): boolean {
  if (!tensor || isExternal(tensor) || elementCount(dimensionsOf(tensor)) > MAX_ELEMENTS) return false;
  return tensorElements(tensor).every((element: number | bigint) => Number(element) === value);
}

/** True if both shapes are known in all dimensions and equal. */
function sameShape(infos: Infos, a: string, b: string): boolean {
  const [left, right] = [infos.get(a)?.shape, infos.get(b)?.shape];
  if (!left || !right || left.length !== right.length) return false;
  return left.every((dimension, axis) => typeof dimension === 'number' && dimension === right[axis]);
}
