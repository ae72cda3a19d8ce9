/**
 * Attention of several heads becomes one operator (multi-head-attention-function.ts): the nodes between the linear layers to
 * queries, keys and values and the one behind the attention, twelve where they are of floats. Where the recipe has both products
 * in integers, the operator reads the three as bytes. It needs no range of the softmax, since its weights are bytes relative to
 * the largest one of a query.
 */
import { integersAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isStandard, onlyProducer, onlyReader } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import { isLastSoftmax, otherInput, rankOf, reshapesTo } from './attention-patterns.ts';
import { multiHeadAttentionFunction, multiHeadOperator } from './multi-head-attention-function.ts';
import { pairOf, type Range, rangeOf } from './residual-sum.ts';

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
  const made = new Map(found.map(({ end, nodes }) => [end, nodes]));
  // Keys and values, or several attentions, may read the same bytes.
  const results = new Set<string>();
  const isNew = ({ output: [result = ''] }: NodeProto) => !results.has(result) && results.add(result);
  graph.node = graph.node.flatMap((node) => made.get(node)?.filter(isNew) ?? [node]);
  const tensors = new Map(found.flatMap((each) => each.tensors.map((tensor) => [tensor.name, tensor])));
  const counts = [...new Set(found.map(({ heads }) => heads))];
  graph.initializer.push(
    ...tensors.values(),
    ...counts.map((heads) => makeTensor(headsName(heads), [1], BigInt64Array.of(BigInt(heads)))),
    makeTensor(NO_BIAS, [1, 1, 1, 1], new Float32Array(1)),
  );
  for (const hasIntegers of new Set(found.map((each) => each.hasIntegers)))
    model.functions.push(multiHeadAttentionFunction({ hasIntegers }));
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return found.length;
}

/** The name of the constant that is a number of heads. */
const headsName = (heads: number) => `dino8.heads_${heads}`;

/** An attention: the node that ends it, the operator that takes its place with what it reads, and its number of heads. */
interface Attention {
  readonly end: NodeProto;
  readonly nodes: readonly NodeProto[];
  readonly tensors: readonly TensorProto[];
  readonly heads: number;
  readonly hasIntegers: boolean;
}

/** The attention with the softmax `weights`; undefined if it is of none. */
function attentionOf(weights: NodeProto, index: GraphIndex, infos: Infos): Attention | undefined {
  if (!isLastSoftmax(weights, 4)) return undefined;
  const scores = scoresOf(weights, index, infos);
  const pair = pairOf(onlyReader(weights, index), index);
  const mix = onlyReader(pair ?? weights, index);
  const transpose = onlyReader(mix, index);
  const end = onlyReader(transpose, index);
  if (!scores || !isStandard(mix, 'MatMul') || mix.input[0] !== (pair ?? weights).output[0] || !end) return undefined;
  const query = partByHead(scores.product.input[0], BY_HEAD, index);
  const key = partByHead(scores.product.input[1], TRANSPOSED, index);
  const value = partByHead(mix.input[1], BY_HEAD, index);
  const isBack = isTransposed(transpose, BY_HEAD) && isFlat(end, infos, index);
  if (!isBack || !query || query.heads !== key?.heads || query.heads !== value?.heads) return undefined;
  const parts = [query, key, value];
  const isFloat = parts.every(({ name }) => infos.get(name)?.type === DataType.FLOAT && rankOf(name, infos) === 3);
  const hasIntegers = pair !== undefined;
  if (!isFloat || parts.some(({ range }) => (range !== undefined) !== hasIntegers)) return undefined;
  const operands = parts.map((part) => operandOf(part, index));
  if (!operands.every((operand) => operand !== undefined)) return undefined;
  const inputs = [
    ...operands.flatMap((operand) => operand.inputs),
    scores.bias ?? NO_BIAS,
    scores.scale,
    headsName(query.heads),
  ];
  const node = makeNode(multiHeadOperator({ hasIntegers }), scores.product.name, inputs, end.output);
  node.domain = DOMAIN;
  return {
    end,
    nodes: [...operands.flatMap(({ nodes }) => nodes), node],
    tensors: operands.flatMap(({ tensors }) => tensors),
    heads: query.heads,
    hasIntegers,
  };
}

/** What the operator reads for queries, keys or values, and the nodes and constants that it is made by. */
interface Operand {
  readonly inputs: readonly string[];
  readonly nodes: readonly NodeProto[];
  readonly tensors: readonly TensorProto[];
}

/** The values as they are or, with a range, as uint8: signed integers are 128 lower. Undefined for other integers. */
function operandOf({ name, range }: Part, { initializer }: GraphIndex): Operand | undefined {
  if (!range) return { inputs: [name], nodes: [], tensors: [] };
  const [scale, zeroPoint] = range;
  const isNumber = (tensor: TensorProto | undefined) => tensor?.dims.every((size) => size === 1n) ?? false;
  const stored = initializer.get(zeroPoint);
  const isSigned = stored?.dataType === DataType.INT8;
  if (!stored || !(isSigned || stored.dataType === DataType.UINT8)) return undefined;
  if (!isNumber(stored) || !isNumber(initializer.get(scale))) return undefined;
  const ownZeroPoint = isSigned ? `${zeroPoint}.unsigned` : zeroPoint;
  const bytes = `${name}.${scale}.${ownZeroPoint}.bytes`;
  const tensors = isSigned
    ? [makeTensor(ownZeroPoint, [], Uint8Array.of(Number(tensorElements(stored)[0]) + 128))]
    : [];
  const quantizer = makeNode('QuantizeLinear', `${bytes}.QuantizeLinear`, [name, scale, ownZeroPoint], [bytes]);
  return { inputs: [bytes, scale, ownZeroPoint], nodes: [quantizer], tensors };
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

/** A value [batch, tokens, channels], its number of heads, and the range of its integers if the product reads integers. */
interface Part {
  readonly name: string;
  readonly heads: number;
  readonly range: Range | undefined;
}

/** The value that is split by head and brought into an order, and then read as it is or by way of integers. */
function partByHead(name: string | undefined, order: string, index: GraphIndex): Part | undefined {
  const reader = onlyProducer(name, index);
  const quantizer = isStandard(reader, 'DequantizeLinear') ? onlyProducer(reader.input[0], index) : undefined;
  const pair = pairOf(quantizer, index);
  const transpose = pair ? onlyProducer(quantizer?.input[0], index) : reader;
  const split = transpose && isTransposed(transpose, order) ? onlyProducer(transpose.input[0], index) : undefined;
  const [batch, tokens, heads = 0, size] = reshapesTo(split, index) ?? [];
  const isSplit = batch === 0 && tokens === 0 && heads > 0 && (size === -1 || (size ?? 0) > 0);
  return split && isSplit ? { name: split.input[0] ?? '', heads, range: pair && rangeOf(pair) } : undefined;
}

const isTransposed = (node: NodeProto | undefined, order: string): boolean =>
  isStandard(node, 'Transpose') && String(integersAttribute(node, 'perm')) === order;

/** True for a Reshape that puts the heads side by side again. */
function isFlat(node: NodeProto, infos: Infos, index: GraphIndex): boolean {
  const [batch, tokens, channels, ...rest] = reshapesTo(node, index) ?? [];
  const width = infos.get(node.output[0] ?? '')?.shape?.at(-1);
  return batch === 0 && tokens === 0 && rest.length === 0 && (channels === -1 || channels === width);
}
