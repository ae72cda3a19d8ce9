/**
 * The attention between an image and a text within its layer (fuse-fusion-norm.ts) also writes the bytes of the sum of the image
 * and another value, such as the embedding of positions, so that no other pass goes over the image's floats.
 */
import { clone } from '@bufbuild/protobuf';
import { FunctionProtoSchema } from 'onnx-buf';
import { ADD, AND_SUM, DOMAIN, NORM_FUSION_ATTENTION_ADD, QUANTIZED } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isReadOnce, usedBy } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, sortTopologically } from '../../../onnx/rewrite.ts';
import type { FunctionProto, NodeProto } from '../../../onnx/types.ts';
import { isOfDino8 } from './attention-patterns.ts';

const ATTENTION = NORM_FUSION_ATTENTION_ADD + QUANTIZED;

/** Rewrites the model in place. Returns the number of operators that write the bytes of a sum too now. */
export function fuseFusionSums(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const sums = new Set<NodeProto>();
  for (const attention of graph.node) {
    const found = isOfDino8(attention, ATTENTION) ? sumBehind(attention, index, infos) : undefined;
    if (!found) continue;
    const { sum, addend } = found;
    attention.opType += AND_SUM;
    attention.input.push(addend, ...sum.input.slice(2));
    attention.output.push(sum.output[0] ?? '');
    if (isReadOnce(attention.output[1] ?? '', index)) attention.output[1] = '';
    sums.add(sum);
  }
  const base = model.functions.find(({ domain, name }) => domain === DOMAIN && name === ATTENTION);
  if (sums.size === 0 || !base) return 0;
  graph.node = graph.node.filter((node) => !sums.has(node));
  model.functions.push(functionWithSum(base));
  sortTopologically(graph);
  return sums.size;
}

/** The sum of the image and a value of the same shape whose bytes alone are read; undefined if there is none. */
function sumBehind(
  attention: NodeProto,
  index: GraphIndex,
  infos: Infos,
): { readonly sum: NodeProto; readonly addend: string } | undefined {
  const [, image = ''] = attention.output;
  const [, ...sizes] = infos.get(image)?.shape ?? [];
  for (const sum of (image && index.consumers.get(image)) || []) {
    const [, floats = ''] = sum.output;
    const addend = sum.input.slice(0, 2).find((name) => name !== image);
    if (!isOfDino8(sum, ADD + QUANTIZED) || floats !== '' || addend === undefined) continue;
    const [, ...others] = infos.get(addend)?.shape ?? [];
    const isSameShape = sizes.length === 2 && others.length === 2 && sizes.every((size, axis) => size === others[axis]);
    if (isSameShape && !dependsOn(addend, attention, index)) return { sum, addend };
  }
  return undefined;
}

/** True if a value is computed from results of a node. */
function dependsOn(name: string, node: NodeProto, { producer }: GraphIndex): boolean {
  const seen = new Set([name]);
  for (const each of seen) {
    const from = producer.get(each);
    if (from === node) return true;
    if (from) for (const input of usedBy(from)) seen.add(input);
  }
  return false;
}

/**
 * The function of the attention whose results are bytes and floats of the image, and the text's. Further inputs: `addend` float
 * [batch or 1, positions, width], and scale and zero point (uint8) of the sum. Its last output is the sum as bytes.
 */
function functionWithSum(base: FunctionProto): FunctionProto {
  const body = clone(FunctionProtoSchema, base);
  body.name += AND_SUM;
  const [addend, scale, zeroPoint, sum, bytes] = ['addend', 'sum_scale', 'sum_zero_point', 'sum', 'sum_bytes'];
  body.node.push(
    makeNode('Add', `${body.name}/Add`, [body.output[1] ?? '', addend], [sum]),
    makeNode('QuantizeLinear', `${body.name}/QuantizeLinear_1`, [sum, scale, zeroPoint], [bytes]),
  );
  body.input.push(addend, scale, zeroPoint);
  body.output.push(bytes);
  return body;
}
