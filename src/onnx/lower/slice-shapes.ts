/**
 * Takes parts of shapes by Slice. The attributes `start` and `end` of Shape came with version 15 of the operators, and a runtime that
 * does not read them gives the whole shape instead (https://onnx.ai/onnx/operators/onnx__Shape.html).
 */
import { findAttribute } from '../attributes.ts';
import { isStandardDomain } from '../opset.ts';
import type { Model } from '../read.ts';
import { makeNode } from '../rewrite.ts';
import { makeTensor } from '../tensor.ts';
import { subgraphsOf } from '../traverse.ts';
import type { GraphProto, NodeProto } from '../types.ts';
import { UniqueNames } from './unique-names.ts';

/** The end of a part that goes to the last dimension: Slice stops there. A larger number is none of 32 bits. */
const LAST = 2 ** 31 - 1;

/**
 * Replaces each Shape that has a start or an end, in the main graph and in branches, by the whole shape and a Slice of it.
 *
 * @param model is changed; it must have no functions, whose bodies this does not rewrite
 * @returns the number of nodes that were replaced
 */
export function sliceShapes({ graph }: Model): number {
  const names = UniqueNames.of(graph);
  const stored = new Map<number, string>();
  /** The name of a stored vector of one integer, which all nodes share. */
  const integer = (value: number): string => {
    const known = stored.get(value);
    if (known !== undefined) return known;
    const name = names.take(`shape.${value}`);
    graph.initializer.push(makeTensor(name, [1], BigInt64Array.of(BigInt(value))));
    stored.set(value, name);
    return name;
  };
  return sliceIn(graph, names, integer);
}

function sliceIn(graph: GraphProto, names: UniqueNames, integer: (value: number) => string): number {
  let count = 0;
  graph.node = graph.node.flatMap((node) => {
    for (const inner of subgraphsOf(node)) count += sliceIn(inner, names, integer);
    const part = partOf(node);
    if (!part) return [node];
    count++;
    const { start, end } = part;
    const [x = ''] = node.input;
    if (start === 0 && end === LAST) return [makeNode('Shape', node.name, [x], node.output)];
    const base = node.name || (node.output[0] ?? '');
    const whole = names.take(`${base}.whole`);
    return [
      makeNode('Shape', names.take(`${base}.Shape`), [x], [whole]),
      makeNode('Slice', node.name, [whole, integer(start), integer(end), integer(0)], node.output),
    ];
  });
  return count;
}

/** The dimensions that a Shape is asked for; undefined for one that states none, and for other nodes. */
function partOf(node: NodeProto): { readonly start: number; readonly end: number } | undefined {
  if (node.opType !== 'Shape' || !isStandardDomain(node.domain)) return undefined;
  const [start, end] = ['start', 'end'].map((name) => findAttribute(node, name));
  if (!start && !end) return undefined;
  const near = (axis: bigint) => Math.min(Math.max(Number(axis), -LAST), LAST);
  return { start: near(start?.i ?? 0n), end: end ? near(end.i) : LAST };
}
