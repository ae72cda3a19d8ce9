/**
 * Stores quantized weights as floats behind a QuantizeLinear, for versions of TensorRT whose documents do not promise to take
 * integers. The numbers are those that the integers stand for, so that quantizing them gives the same integers again.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { indexGraph } from '../../../onnx/graph-index.ts';
import { UniqueNames } from '../../../onnx/lower/unique-names.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { dimensionsOf, makeTensor, tensorBytes } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { copyTensor, type Tensor, tensor } from '../../../runtime/tensor.ts';

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
  const floats = await dequantized(model, [...byWeight.values()]);
  const names = UniqueNames.of(graph);
  const pairs = new Map<string, NodeProto>();
  for (const [weight, node] of byWeight) {
    const base = weight.replace(INTEGERS, '');
    const stored = names.take(base);
    const { data, shape } = floats.get(weight) as Tensor; // one for each weight
    graph.initializer.push(makeTensor(stored, shape, data));
    const label = names.take(`${base}.QuantizeLinear`);
    const pair = makeNode('QuantizeLinear', label, [stored, ...node.input.slice(1)], [names.take(`${base}.quantized`)]);
    pair.attribute = node.attribute;
    pairs.set(weight, pair);
  }
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

/** What weights stand for, by their names: ONNX Runtime multiplies. */
async function dequantized(model: Model, nodes: readonly NodeProto[]): Promise<Map<string, Tensor>> {
  const { initializer } = indexGraph(model.graph);
  const graph = create(GraphProtoSchema, { name: 'weights' });
  const feeds: Record<string, Tensor> = {};
  for (const [index, node] of nodes.entries()) {
    const result = `weight_${index}`;
    graph.node.push(copyNode(node, { output: [result] }));
    graph.output.push(makeValueInfo(result, DataType.FLOAT, undefined));
    for (const name of node.input) {
      const stored = initializer.get(name);
      if (!stored || feeds[name]) continue;
      const type = stored.dataType as DataType; // a number of the file format
      const shape = dimensionsOf(stored);
      graph.input.push(makeValueInfo(name, type, shape));
      feeds[name] = tensor(tensorBytes(stored), shape, type);
    }
  }
  const { irVersion, opsetImport } = model;
  const message = create(ModelProtoSchema, { irVersion, opsetImport, graph });
  await using session = await Session.create(
    modelBytes(Object.assign(message, { graph })),
    {},
    'the weights of the model',
  );
  using outputs = await session.run(feeds);
  return new Map(nodes.map((node, index) => [node.input[0] ?? '', copyTensor(outputs.get(`weight_${index}`))]));
}
