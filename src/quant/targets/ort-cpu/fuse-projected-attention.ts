/**
 * Deformable attention of bytes becomes one operator with the linear layers of its offsets and logits
 * (projected-attention-function.ts), so that no tensor of the offsets and logits of all queries is written and read.
 */
import {
  DEFORMABLE_ATTENTION,
  DOMAIN,
  INTEGER_LINEAR,
  PROJECTED_DEFORMABLE_ATTENTION,
} from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { isOfDino8, rankOf, reshapesTo } from './attention-patterns.ts';
import { projectedAttentionFunction } from './projected-attention-function.ts';

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseProjectedAttention(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  let made = 0;
  graph.node = graph.node.map((node) => {
    const projected = projectedAttention(node, index, infos);
    if (projected) made++;
    return projected ?? node;
  });
  if (made === 0) return 0;
  model.functions.push(projectedAttentionFunction());
  sortTopologically(graph);
  removeUnused(model);
  return made;
}

/** The operator in the place of a deformable attention; undefined if the attention reads anything else. */
function projectedAttention(node: NodeProto, index: GraphIndex, infos: Infos): NodeProto | undefined {
  if (!isOfDino8(node, DEFORMABLE_ATTENTION)) return undefined;
  const [value = '', , , spatialShapes = '', , , offsets, logits] = node.input;
  const type = infos.get(value)?.type;
  const [heads, levels] = [infos.get(value)?.shape?.[2], infos.get(spatialShapes)?.shape?.[0]];
  const isKnown = typeof heads === 'number' && typeof levels === 'number';
  if (!isKnown || (type !== DataType.UINT8 && type !== DataType.INT8)) return undefined;
  const [offsetLayer, logitLayer] = [layerOf(offsets, index, infos), layerOf(logits, index, infos)];
  if (!offsetLayer || !logitLayer) return undefined;
  const points = offsetLayer.split[2] ?? 0;
  const isSplitAlike =
    isSame(offsetLayer.split, [heads, levels, points, 2]) && isSame(logitLayer.split, [heads, levels * points]);
  const [queries, logitQueries] = [offsetLayer, logitLayer].map(({ linear }) => linear.input.slice(0, 3));
  if (!isSplitAlike || !queries || !logitQueries || !isSame(queries, logitQueries)) return undefined;
  const weights = [offsetLayer, logitLayer].flatMap(({ linear }) => linear.input.slice(3));
  const inputs = [...node.input.slice(0, 6), ...queries, ...weights];
  const projected = makeNode(PROJECTED_DEFORMABLE_ATTENTION, node.name, inputs, node.output);
  projected.domain = DOMAIN;
  return projected;
}

/** The linear layer of rows [batch, queries, depth] whose result alone a value is, and how its columns are split. */
function layerOf(
  name: string | undefined,
  index: GraphIndex,
  infos: Infos,
): { readonly linear: NodeProto; readonly split: readonly number[] } | undefined {
  const reshape = onlyProducer(name, index);
  const linear = onlyProducer(reshape?.input[0], index);
  const [batch, queries, ...split] = reshapesTo(reshape, index) ?? [];
  if (!isOfDino8(linear, INTEGER_LINEAR) || batch !== 0 || queries !== 0 || rankOf(linear.input[0] ?? '', infos) !== 3)
    return undefined;
  return { linear, split };
}

const isSame = <T>(a: readonly T[], b: readonly T[]): boolean =>
  a.length === b.length && a.every((each, at) => each === b[at]);
