/**
 * Where a node's result is quantized, the node writes the bytes itself, so that no other pass reads and writes its floats:
 * `F` becomes the operator `FQuantized`, which has the inputs of `F`, then scale and zero point of the bytes. Its results are
 * the bytes and, where other nodes read them, the floats; further results of `F` follow. It is a function made of `F` and a QuantizeLinear. ONNX Runtime
 * wants all results of a function to be listed, so that the floats have an empty name where no node reads them.
 */
import { clone } from '@bufbuild/protobuf';
import { FunctionProtoSchema } from 'onnx-buf';
import { GraphBuilder } from '../../../onnx/builder.ts';
import * as operators from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import {
  copyNode,
  importDomain,
  makeNode,
  removeUnused,
  replaceUses,
  sortTopologically,
} from '../../../onnx/rewrite.ts';
import { DataType, type FunctionProto, type NodeProto } from '../../../onnx/types.ts';
import { isLinearOperator } from './linear-function.ts';

/** Rewrites the model in place. Returns the number of nodes that write bytes now. */
export function quantizeResults(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const replaced = new Map<NodeProto, NodeProto>();
  const gone = new Set<NodeProto>();
  const renamed = new Map<string, string>();
  for (const node of graph.node) {
    const [quantizer, ...others] = canWriteBytes(node, index, infos) ? quantizersOf(node, index) : [];
    if (!quantizer) continue;
    const [result = '', ...more] = node.output;
    const [bytes = ''] = quantizer.output;
    for (const other of others) renamed.set(other.output[0] ?? '', bytes);
    for (const each of [quantizer, ...others]) gone.add(each);
    const isRead = index.outputs.has(result) || index.consumers.get(result)?.some((reader) => !gone.has(reader));
    replaced.set(node, bytesNode(node, quantizer, [bytes, isRead ? result : '', ...more]));
    define(model, node);
  }
  if (replaced.size === 0) return 0;
  graph.node = graph.node.filter((node) => !gone.has(node)).map((node) => replaced.get(node) ?? node);
  for (const [from, to] of renamed) replaceUses(graph, from, to);
  importDomain(model, operators.DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return replaced.size;
}

/** The operators beside linear layers and sums that have kernels that write bytes. */
const WRITERS: readonly string[] = [
  operators.DEFORMABLE_ATTENTION,
  operators.MULTI_HEAD_ATTENTION,
  operators.INTEGER_MULTI_HEAD_ATTENTION,
  operators.NORM_FUSION_ATTENTION_ADD,
  operators.PROJECTED_DEFORMABLE_ATTENTION,
  operators.PROJECTION_FEED_FORWARD,
  operators.SINE_EMBEDDING,
];

/** True for the operators that dino8's library has kernels for that write bytes. */
function canWriteBytes({ domain, opType, input }: NodeProto, { producer }: GraphIndex, infos: Infos): boolean {
  if (domain === operators.DOMAIN) return WRITERS.includes(opType) || isLinearOperator(opType);
  if (domain !== '' || opType !== operators.ADD) return false;
  // ONNX Runtime makes one operator of a sum of bytes, QLinearAdd.
  if (input.some((name) => producer.get(name)?.opType === 'DequantizeLinear')) return false;
  const [a, b] = input.map((name) => infos.get(name));
  const columns = a?.shape?.at(-1);
  return a?.type === DataType.FLOAT && typeof columns === 'number' && columns === b?.shape?.at(-1);
}

/** The nodes that quantize a result to uint8, all with the same constants. Other nodes may read the result as well. */
function quantizersOf({ output: [result = ''] }: NodeProto, index: GraphIndex): NodeProto[] {
  const isNumber = (name: string, type: DataType) => {
    const tensor = index.initializer.get(name);
    return tensor?.dataType === type && tensor.dims.every((size) => size === 1n);
  };
  const quantizers = (index.consumers.get(result) ?? []).filter(
    ({ opType, domain, input, output }) =>
      opType === 'QuantizeLinear' &&
      domain === '' &&
      input[0] === result &&
      isNumber(input[1] ?? '', DataType.FLOAT) &&
      isNumber(input[2] ?? '', DataType.UINT8) &&
      !index.outputs.has(output[0] ?? ''),
  );
  const [, scale, zeroPoint] = quantizers[0]?.input ?? [];
  return quantizers.filter(({ input }) => input[1] === scale && input[2] === zeroPoint);
}

function bytesNode(node: NodeProto, quantizer: NodeProto, output: string[]): NodeProto {
  const changed = copyNode(node, { input: [...node.input, ...quantizer.input.slice(1)], output });
  changed.opType += operators.QUANTIZED;
  changed.domain = operators.DOMAIN;
  return changed;
}

/** Adds the function of a node's operator with a QuantizeLinear behind it to the model. */
function define(model: Model, { domain, opType }: NodeProto): void {
  const find = (name: string) => model.functions.find((each) => each.domain === operators.DOMAIN && each.name === name);
  if (find(`${opType}${operators.QUANTIZED}`)) return;
  const base = domain === '' ? additionFunction() : find(opType);
  if (!base) throw new Error(`the model does not define ${opType}`);
  model.functions.push(quantizedFunction(base));
}

function additionFunction(): FunctionProto {
  const b = new GraphBuilder(operators.ADD);
  b.output('sum', b.add(b.input('a', DataType.FLOAT, []), b.input('b', DataType.FLOAT, [])));
  return b.finishFunction(operators.DOMAIN);
}

/** The function with bytes as its first output. Its result in float is the second one. */
function quantizedFunction(base: FunctionProto): FunctionProto {
  const body = clone(FunctionProtoSchema, base);
  const range = ['result_scale', 'result_zero_point'];
  const bytes = 'result_bytes';
  body.name += operators.QUANTIZED;
  body.node.push(makeNode('QuantizeLinear', `${body.name}/QuantizeLinear`, [body.output[0] ?? '', ...range], [bytes]));
  body.input.push(...range);
  body.output.unshift(bytes);
  return body;
}
