/**
 * The operators of attention between an image and a text (fuse-fusion.ts) take the layer normalization of the image before them
 * and the sum of the normalized image and their result behind them, so that no other pass goes over the image's floats.
 */
import { setAttribute } from '../../../onnx/attributes.ts';
import { FUSION_ATTENTION, NORM_FUSION_ATTENTION_ADD } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isReadOnce, isStandard } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { epsilonOf } from './epsilon.ts';
import { fusionFunction } from './fusion-function.ts';
import { isNormOfRows } from './linear-blocks.ts';

/** Rewrites the model in place. Returns the number of operators that have a normalization and a sum now. */
export function fuseFusionNorms(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const sums = new Set<NodeProto>();
  for (const attention of graph.node) {
    const found = attention.opType === FUSION_ATTENTION ? aroundAttention(attention, index, infos) : undefined;
    if (!found) continue;
    const { norm, sum } = found;
    const [x = '', scale = '', bias = ''] = norm.input;
    attention.opType = NORM_FUSION_ATTENTION_ADD;
    attention.input[0] = x;
    attention.input.push(scale, bias);
    attention.output[0] = sum.output[0] ?? '';
    setAttribute(attention, 'epsilon', epsilonOf(norm));
    sums.add(sum);
  }
  if (sums.size === 0) return 0;
  graph.node = graph.node.filter((node) => !sums.has(node));
  model.functions.push(fusionFunction({ hasNorm: true }));
  sortTopologically(graph);
  removeUnused(model);
  return sums.size;
}

/** The normalization of the image that an attention and a sum behind it read, and nothing else; undefined if there is none. */
function aroundAttention(
  { input: [bytes = '', ...parameters], output: [image = ''] }: NodeProto,
  index: GraphIndex,
  infos: Infos,
): { readonly norm: NodeProto; readonly sum: NodeProto } | undefined {
  const quantizer = isReadOnce(bytes, index) ? index.producer.get(bytes) : undefined;
  if (!isStandard(quantizer, 'QuantizeLinear')) return undefined;
  const [normalized = '', scale, zeroPoint] = quantizer.input;
  const norm = index.producer.get(normalized);
  const sum = isReadOnce(image, index) ? index.consumers.get(image)?.[0] : undefined;
  if (!isStandard(sum, 'Add') || scale !== parameters[0] || zeroPoint !== parameters[1]) return undefined;
  const isOfBoth = sum.input.includes(normalized) && sum.input.includes(image) && normalized !== image;
  const isReadElsewhere = index.outputs.has(normalized) || index.consumers.get(normalized)?.length !== 2;
  return isOfBoth && !isReadElsewhere && isNormOfRows(norm, normalized, index, infos) ? { norm, sum } : undefined;
}
