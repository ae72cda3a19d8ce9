/**
 * Stores quantized weights as floats behind a QuantizeLinear, for versions of TensorRT whose documents do not promise to take
 * integers. The numbers are those that the integers stand for, so that quantizing them gives the same integers again.
 */
import { indexGraph } from '../../../onnx/graph-index.ts';
import { UniqueNames } from '../../../onnx/lower/unique-names.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { computeConstants } from '../../../runtime/fold-constants.ts';

/** The end of the name of a weight's integers. */
const INTEGERS = /\.int8$/;

/**
 * Replaces the int8 weights of a model by floats with a pair.
 *
 * @param model is changed
 * @returns the number of weights
 * @throws InputError if a weight is in a file that was not read
 */
export async function storeFloatWeights(model: Model): Promise<number> {
  const { graph } = model;
  const { initializer } = indexGraph(graph);
  const isWeight = ({ opType, input }: NodeProto) =>
    opType === 'DequantizeLinear' && initializer.get(input[0] ?? '')?.dataType === DataType.INT8;
  const byWeight = new Map(graph.node.filter(isWeight).map((node) => [node.input[0] ?? '', node]));
  if (byWeight.size === 0) return 0;
  const names = UniqueNames.of(graph);
  const pairs = new Map<string, NodeProto>();
  const floats: NodeProto[] = [];
  for (const [weight, node] of byWeight) {
    const base = weight.replace(INTEGERS, '');
    const stored = names.take(base);
    floats.push(copyNode(node, { output: [stored] }));
    const label = names.take(`${base}.QuantizeLinear`);
    const pair = makeNode('QuantizeLinear', label, [stored, ...node.input.slice(1)], [names.take(`${base}.quantized`)]);
    pair.attribute = node.attribute;
    pairs.set(weight, pair);
  }
  const results = floats.flatMap(({ output }) => output);
  graph.initializer.push(...(await computeConstants(model, floats, results, initializer)));
  const placed = new Set<string>();
  graph.node = graph.node.flatMap((node) => {
    const weight = node.input[0] ?? '';
    const pair = isWeight(node) ? pairs.get(weight) : undefined;
    if (!pair) return [node];
    const reading = copyNode(node, { input: [pair.output[0] ?? '', ...node.input.slice(1)] });
    if (placed.has(weight)) return [reading];
    placed.add(weight);
    return [pair, reading];
  });
  removeUnused(model);
  return byWeight.size;
}
