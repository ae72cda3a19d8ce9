/**
 * Attention of several heads in floats becomes one operator (multi-head-attention-function.ts): the twelve nodes between the
 * linear layers to queries, keys and values and the one behind the attention.
 */
import { integersAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, MULTI_HEAD_ATTENTION } from '../../../onnx/dino8-operators.ts';
import {
  type GraphIndex,
  indexGraph,
  isReadOnce,
  isStandard,
  onlyProducer,
  onlyReader,
} from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { isLastSoftmax, otherInput, rankOf, reshapesTo } from './attention-patterns.ts';
import { multiHeadAttentionFunction } from './multi-head-attention-function.ts';

/** The order of dimensions of queries and values by head, and of the result back. */
const BY_HEAD = '0,2,1,3';
/** The order of dimensions of keys by head, transposed. */
const TRANSPOSED = '0,2,3,1';

/** What is added to the scores where the model adds nothing. */
const NO_BIAS = 'dino8.no_score_bias';

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseMultiHeadAttention(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const found = graph.node.flatMap((node) => attentionOf(node, index, infos) ?? []);
  if (found.length === 0) return 0;
  const made = new Map(found.map(({ end, node }) => [end, node]));
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  const counts = [...new Set(found.map(({ heads }) => heads))];
  graph.initializer.push(
    ...counts.map((heads) => makeTensor(headsName(heads), [1], BigInt64Array.of(BigInt(heads)))),
    makeTensor(NO_BIAS, [1, 1, 1, 1], new Float32Array(1)),
  );
  model.functions.push(multiHeadAttentionFunction());
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return found.length;
}

/** The name of the constant that is a number of heads. */
const headsName = (heads: number) => `dino8.heads_${heads}`;

/** An attention: the node that ends it, the operator that takes its place, and its number of heads. */
interface Attention {
  readonly end: NodeProto;
  readonly node: NodeProto;
  readonly heads: number;
}

/** The attention with the softmax `weights`; undefined if it is of none. */
function attentionOf(weights: NodeProto, index: GraphIndex, infos: Infos): Attention | undefined {
  if (!isLastSoftmax(weights, 4)) return undefined;
  const scores = scoresOf(weights, index, infos);
  const product = onlyReader(weights, index);
  const transpose = onlyReader(product, index);
  const end = onlyReader(transpose, index);
  if (!scores || !isStandard(product, 'MatMul') || product.input[0] !== weights.output[0] || !end) return undefined;
  const query = partByHead(scores.product.input[0], BY_HEAD, index);
  const key = partByHead(scores.product.input[1], TRANSPOSED, index);
  const value = partByHead(product.input[1], BY_HEAD, index);
  const isBack = isTransposed(transpose, BY_HEAD) && isFlat(end, infos, index);
  const isAlike = query && query.heads === key?.heads && query.heads === value?.heads;
  if (!isBack || !isAlike) return undefined;
  const names = [query, key, value].map(({ name }) => name);
  const isFloat = names.every((name) => infos.get(name)?.type === DataType.FLOAT && rankOf(name, infos) === 3);
  if (!isFloat) return undefined;
  const inputs = [...names, scores.bias ?? NO_BIAS, scores.scale, headsName(query.heads)];
  const node = makeNode(MULTI_HEAD_ATTENTION, scores.product.name, inputs, end.output);
  node.domain = DOMAIN;
  return { end, node, heads: query.heads };
}

/** The product of queries and keys, the number that it is multiplied by, and what is added to it before a softmax. */
interface Scores {
  readonly product: NodeProto;
  readonly scale: string;
  readonly bias: string | undefined;
}

function scoresOf(softmax: NodeProto, index: GraphIndex, infos: Infos): Scores | undefined {
  const before = onlyProducer(softmax.input[0], index);
  const hasBias = isStandard(before, 'Add');
  const scaled = hasBias
    ? before.input.map((name) => onlyProducer(name, index)).find((node) => isStandard(node, 'Mul'))
    : before;
  const bias = hasBias && scaled ? otherInput(before, scaled) : undefined;
  if (!isStandard(scaled, 'Mul') || (hasBias && (bias === undefined || rankOf(bias, infos) !== 4))) return undefined;
  const product = scaled.input.map((name) => onlyProducer(name, index)).find((node) => isStandard(node, 'MatMul'));
  const scale = product && otherInput(scaled, product);
  if (!product || scale === undefined || rankOf(scale, infos) !== 0) return undefined;
  return { product, scale, bias };
}

/** A value [batch, tokens, channels] that is split by head and brought into an order. */
function partByHead(name = '', order: string, index: GraphIndex): { name: string; heads: number } | undefined {
  const transpose = isReadOnce(name, index) ? index.producer.get(name) : undefined;
  const split = transpose && isTransposed(transpose, order) ? onlyProducer(transpose.input[0], index) : undefined;
  const [batch, tokens, heads = 0, size] = reshapesTo(split, index) ?? [];
  const isSplit = batch === 0 && tokens === 0 && heads > 0 && (size === -1 || (size ?? 0) > 0);
  return split && isSplit ? { name: split.input[0] ?? '', heads } : undefined;
}

const isTransposed = (node: NodeProto | undefined, order: string): boolean =>
  isStandard(node, 'Transpose') && String(integersAttribute(node, 'perm')) === order;

/** True for a Reshape that puts the heads side by side again. */
function isFlat(node: NodeProto, infos: Infos, index: GraphIndex): boolean {
  const [batch, tokens, channels, ...rest] = reshapesTo(node, index) ?? [];
  const width = infos.get(node.output[0] ?? '')?.shape?.at(-1);
  return batch === 0 && tokens === 0 && rest.length === 0 && (channels === -1 || channels === width);
}
