/**
 * Deformable attention as onnxruntime-web computes it best. Its function adds reference points, and multiplies offsets by scales, that are
 * the same for each sampling point: factors [batch, queries, 1, levels, 1, 2] of values [batch, queries, heads, levels, points, 2]. ONNX
 * Runtime broadcasts in runs of the last dimensions that agree, here of two numbers, and in WebAssembly each run takes as long as
 * many numbers. When the factors are repeated for the points first, runs are of levels · points · 2 numbers, and the results are the same.
 */
import { DEFORMABLE_ATTENTION, DOMAIN } from '../../onnx/dino8-operators.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { tensorElements } from '../../onnx/tensor.ts';
import type { FunctionProto, ModelProto, NodeProto } from '../../onnx/types.ts';

/** Where the dimensions of heads and points are inserted into the factors. */
const INSERTED = [2, 4];

/**
 * Repeats what is the same for each sampling point, in every function of deformable attention of a model.
 *
 * @param model is changed
 * @returns the number of repeated values
 */
export function repeatForEachPoint(model: ModelProto): number {
  return model.functions
    .filter(({ domain, name }) => domain === DOMAIN && name.startsWith(DEFORMABLE_ATTENTION))
    .map(repeatIn)
    .reduce((sum, count) => sum + count, 0);
}

function repeatIn(body: FunctionProto): number {
  const factors = body.node.filter((node) => isFactor(node, body));
  const offsets = offsetsOf(factors, body);
  if (offsets === undefined) return 0;
  // No name of the builder has a space.
  const named = (part: string) => `points of ${part}`;
  const [points, ones, one, shape] = [named('dimension'), named('ones'), named('one'), named('shape')];
  const before = [
    makeNode('Shape', points, [offsets], [points], { start: 4, end: 5 }),
    makeNode('Constant', ones, [], [ones], { value_ints: [1, 1, 1, 1] }),
    makeNode('Constant', one, [], [one], { value_ints: [1] }),
    makeNode('Concat', shape, [ones, points, one], [shape], { axis: 0 }),
  ];
  body.node = [
    ...before,
    ...body.node.flatMap((node) => {
      if (!factors.includes(node)) return [node];
      const [result = ''] = node.output;
      const single = named(result);
      node.output = [single];
      return [node, makeNode('Expand', `${single}/Expand`, [single, shape], [result])];
    }),
  ];
  return factors.length;
}

/** True if a node inserts the dimensions of heads and points into an input of the function. */
function isFactor({ opType, input }: NodeProto, { node: nodes, input: inputs }: FunctionProto): boolean {
  const [value = '', axes] = input;
  if (opType !== 'Unsqueeze' || !inputs.includes(value)) return false;
  const constant = nodes.find((node) => node.opType === 'Constant' && node.output[0] === axes)?.attribute[0]?.t;
  return constant !== undefined && [...tensorElements(constant)].map(Number).join() === INSERTED.join();
}

/** The input of the function that a factor scales, which has the points as its dimension 4; undefined if there is none. */
function offsetsOf(factors: readonly NodeProto[], { node: nodes, input: inputs }: FunctionProto): string | undefined {
  const results = new Set(factors.flatMap(({ output }) => output));
  return nodes
    .find(({ opType, input }) => opType === 'Mul' && input.some((name) => results.has(name)))
    ?.input.find((name) => inputs.includes(name));
}
