/**
 * Integer products by stored weights become operators that dino8's library has kernels for, together with what surrounds them:
 * a product that reads nothing but the quantized results of another one, a residual sum with a layer normalization, and a mask.
 */
import { append } from '../../../base/append.ts';
import { findAttribute, integerAttribute, setAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN } from '../../../onnx/dino8-operators.ts';
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
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { epsilonOf } from './epsilon.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { type LinearParts, linearFunction, linearOperator } from './linear-function.ts';
import { isPackable, packWeight } from './packed-weight.ts';
import { isComputable, type ResidualSum, sumBehind } from './residual-sum.ts';

/** An integer product by a stored weight. */
export interface Layer {
  readonly product: NodeProto;
  /** The name of the weight, and its dimensions. */
  readonly weight: string;
  readonly dims: readonly [depth: number, columns: number];
}

/** Layers that become one operator. */
interface Block {
  readonly layers: readonly [Layer] | readonly [Layer, Layer];
  readonly hasGelu: boolean;
  /** The value that the first layer reads: bytes for one layer, floats for two. */
  readonly x: string;
}

/** What follows the layers of a block, and reads nothing else of their result. */
type Behind = NormBehind | SumBehind | RowScale;

/** A residual sum and a layer normalization. */
interface NormBehind {
  readonly sum: ResidualSum & { readonly x: string };
  readonly norm: NodeProto;
}

/** The sum of the layers' result and of x, which the layers read normalized. */
interface SumBehind {
  readonly sum: ResidualSum & { readonly x: string };
  readonly normBefore: NodeProto;
}

/** A multiplication of each row by a number, such as a mask. */
interface RowScale {
  /** The numbers, [..., 1]. */
  readonly factors: string;
  readonly node: NodeProto;
}

/**
 * Rewrites the model in place. The weights are packed by nodes that the caller folds.
 *
 * @returns the number of operators that were made
 */
export function fuseLinearBlocks(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const blocks = findBlocks(graph.node, index, infos);
  const packed = new Map<string, string>();
  const functions = new Map<string, LinearParts>();
  const made = new Map<NodeProto, NodeProto>();
  for (const block of blocks) {
    for (const { weight, dims } of block.layers) {
      if (packed.has(weight)) continue;
      packed.set(weight, `${weight}.packed`);
      const { nodes, tensors } = packWeight(weight, dims, `${weight}.packed`);
      append(graph.node, nodes);
      append(graph.initializer, tensors);
    }
    const behind = behindBlock(block, index, infos);
    // Where a sum is of two blocks, the first one has taken it.
    const found = behind && made.has(endOf(behind)) ? undefined : behind;
    const norm = found ? undefined : normBeforeLayer(block, index, infos);
    const parts = partsOf(block, found, norm);
    const operator = linearOperator(parts);
    functions.set(operator, parts);
    const { product } = block.layers.at(-1) ?? block.layers[0];
    made.set(found ? endOf(found) : product, blockNode(operator, block, found, norm, packed));
  }
  if (blocks.length === 0) return 0;
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  append(model.functions, [...functions.values()].map(linearFunction));
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return blocks.length;
}

function partsOf({ layers, hasGelu }: Block, behind: Behind | undefined, norm: NodeProto | undefined): LinearParts {
  return {
    layers: layers.length,
    hasGelu,
    hasNorm: behind !== undefined && 'norm' in behind,
    hasNormBefore: norm !== undefined || (behind !== undefined && 'normBefore' in behind),
    hasRowScale: behind !== undefined && 'factors' in behind,
    isRounded: behind !== undefined && 'sum' in behind && behind.sum.rounding !== undefined,
  };
}

/** The node whose result is that of the whole block. */
const endOf = (behind: Behind): NodeProto =>
  'factors' in behind ? behind.node : 'norm' in behind ? behind.norm : behind.sum.end;

function blockNode(
  operator: string,
  { layers, x }: Block,
  behind: Behind | undefined,
  normBefore: NodeProto | undefined,
  packed: ReadonlyMap<string, string>,
) {
  const inputs = layers.flatMap(({ product, weight }) => {
    const [, , aScale = '', scale = '', aZeroPoint = '', , bias = ''] = product.input;
    return [aScale, aZeroPoint, packed.get(weight) ?? '', scale, bias];
  });
  const last = layers.at(-1) ?? layers[0];
  const end = behind ? endOf(behind) : last.product;
  const node = makeNode(operator, last.product.name, [x, ...inputs], end.output);
  node.domain = DOMAIN;
  if (normBefore) {
    const [of = '', ...constants] = normBefore.input;
    node.input[0] = of;
    node.input.push(...constants);
    setAttribute(node, 'epsilon', epsilonOf(normBefore));
  }
  if (!behind) return node;
  if ('factors' in behind) {
    node.input.push(behind.factors);
    return node;
  }
  const norm = 'norm' in behind ? behind.norm : behind.normBefore;
  if ('norm' in behind) node.input.push(behind.sum.x);
  else node.input[0] = behind.sum.x;
  node.input.push(...norm.input.slice(1), ...(behind.sum.rounding ?? []).flat());
  setAttribute(node, 'epsilon', epsilonOf(norm));
  return node;
}

/** What follows a block and can be part of its operator. */
function behindBlock({ layers, hasGelu, x }: Block, index: GraphIndex, infos: Infos): Behind | undefined {
  const result = (layers.at(-1) ?? layers[0]).product.output[0] ?? '';
  const scaled = layers.length === 1 ? rowScaleBehind(result, index, infos) : undefined;
  const sum = sumBehind(result, index);
  if (scaled || !sum || !isComputable(sum, infos)) return scaled;
  const before = onlyProducer(x, index);
  const isOfX = hasGelu && isNormOfRows(before, x, index, infos) && before.input[0] === sum.x;
  return isOfX ? { sum, normBefore: before } : normBehind(result, sum, index, infos);
}

/** The normalization whose result one layer alone reads, quantized; undefined if there is none. */
function normBeforeLayer({ layers }: Block, index: GraphIndex, infos: Infos): NodeProto | undefined {
  const [layer, second] = layers;
  const quantizer = second ? undefined : quantizerOf(layer, index);
  const [bytes = '', normalized = ''] = [quantizer?.output[0], quantizer?.input[0]];
  const norm = isReadOnce(bytes, index) ? onlyProducer(normalized, index) : undefined;
  return isNormOfRows(norm, normalized, index, infos) ? norm : undefined;
}

/** All blocks. Each layer is in one of them: in a pair if it can be, and of three layers in a row the first two are one. */
function findBlocks(nodes: readonly NodeProto[], index: GraphIndex, infos: Infos): Block[] {
  const layers = nodes.flatMap((node) => layerOf(node, index, infos) ?? []);
  const byResult = new Map(layers.map((layer) => [layer.product.output[0] ?? '', layer]));
  const taken = new Set<Layer>();
  const pairs = layers.flatMap((second): Block[] => {
    const between = betweenLayers(second, index);
    const first = byResult.get(between?.result ?? '');
    const x = first && quantizerOf(first, index)?.input[0];
    if (!between || !first || x === undefined || taken.has(first)) return [];
    taken.add(first).add(second);
    return [{ layers: [first, second], hasGelu: between.hasGelu, x }];
  });
  const others = layers.filter((layer) => !taken.has(layer));
  return [
    ...pairs,
    ...others.map((layer): Block => ({ layers: [layer], hasGelu: false, x: layer.product.input[0] ?? '' })),
  ];
}

/** The result that a layer quantizes and reads, alone, and whether a Gelu is applied first. */
function betweenLayers(
  layer: Layer,
  index: GraphIndex,
): { readonly result: string; readonly hasGelu: boolean } | undefined {
  const quantizer = quantizerOf(layer, index);
  const [bytes = '', hidden = ''] = [quantizer?.output[0], quantizer?.input[0]];
  if (!isReadOnce(bytes, index) || !isReadOnce(hidden, index)) return undefined;
  const before = index.producer.get(hidden);
  const hasGelu = before?.opType === 'Gelu' && before.domain === '' && !findAttribute(before, 'approximate');
  const result = hasGelu ? (before.input[0] ?? '') : hidden;
  return isReadOnce(result, index) ? { result, hasGelu } : undefined;
}

/** The node that quantizes what a layer reads, with the layer's scale and zero point. */
function quantizerOf(layer: Layer, { producer }: GraphIndex): NodeProto | undefined {
  const node = producer.get(layer.product.input[0] ?? '');
  return isStandard(node, 'QuantizeLinear') && quantizesFor(node, layer) ? node : undefined;
}

/** True if a node quantizes with the scale and the zero point that a layer assumes. */
export function quantizesFor({ input: [, scale, zeroPoint] }: NodeProto, { product }: Layer): boolean {
  return scale === product.input[2] && zeroPoint === product.input[4];
}

/** The layer of an integer product; undefined if the kernels cannot compute it. */
export function layerOf(product: NodeProto, { initializer }: GraphIndex, infos: Infos): Layer | undefined {
  if (product.opType !== INTEGER_PRODUCT || product.domain !== CONTRIB) return undefined;
  const [bytes = '', weight = '', aScale = '', scale = '', aZeroPoint = '', zeroPoint = '', bias = ''] = product.input;
  const stored = initializer.get(weight);
  const [depth = 0, columns = 0] = stored?.dims.map(Number) ?? [];
  const zeros = initializer.get(zeroPoint);
  const isSymmetric = zeros !== undefined && tensorElements(zeros).every((element) => Number(element) === 0);
  const isNumber = (name: string) => infos.get(name)?.shape?.every((size) => size === 1) ?? false;
  const isStored = stored?.dataType === DataType.INT8 && stored.dims.length === 2 && isPackable(depth);
  const hasConstants = isSymmetric && initializer.has(scale) && initializer.has(bias);
  const isUnsigned = infos.get(bytes)?.type === DataType.UINT8 && isNumber(aScale) && isNumber(aZeroPoint);
  return isStored && hasConstants && isUnsigned ? { product, weight, dims: [depth, columns] } : undefined;
}

/** The multiplication that alone reads `result`, if it has one number for each row. */
function rowScaleBehind(result: string, index: GraphIndex, infos: Infos): RowScale | undefined {
  const [node] = index.consumers.get(result) ?? [];
  const factors = node?.input.find((name) => name !== result) ?? '';
  if (node?.opType !== 'Mul' || node.domain !== '' || !isReadOnce(result, index)) return undefined;
  return infos.get(factors)?.shape?.at(-1) === 1 ? { factors, node } : undefined;
}

/** The normalization that alone reads a sum of rows. */
function normBehind(result: string, sum: NormBehind['sum'], index: GraphIndex, infos: Infos): NormBehind | undefined {
  const norm = onlyReader(sum.end, index);
  const isRow = [result, sum.x].every((name) => isOfColumns(norm, infos.get(name)?.shape?.at(-1), index));
  return isNormOfRows(norm, result, index, infos) && isRow ? { sum, norm } : undefined;
}

/** True for a layer normalization over the last dimension, with a scale and a bias, of a value of as many dimensions as `like`. */
export function isNormOfRows(
  norm: NodeProto | undefined,
  like: string,
  index: GraphIndex,
  infos: Infos,
): norm is NodeProto {
  if (!isStandard(norm, 'LayerNormalization') || norm.output.length !== 1 || norm.input.length !== 3) return false;
  const shape = infos.get(like)?.shape;
  const axis = integerAttribute(norm, 'axis', -1);
  const isLast = axis === -1 || (shape !== undefined && axis === shape.length - 1);
  return isLast && isOfColumns(norm, shape?.at(-1), index);
}

/** True if a normalization has a scale and a bias for each of so many columns. */
function isOfColumns(norm: NodeProto | undefined, columns: unknown, { initializer }: GraphIndex): boolean {
  const dims = norm?.input.slice(1).map((name) => initializer.get(name)?.dims) ?? [];
  return dims.every((sizes) => sizes?.length === 1 && Number(sizes[0]) === columns);
}
