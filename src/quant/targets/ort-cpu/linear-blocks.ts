/**
 * Integer products by stored weights become operators that dino8's library has kernels for, together with what surrounds them:
 * a product that reads nothing but the quantized results of another one, a residual sum with a layer normalization, and a mask.
 */
import { findAttribute, integerAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isReadOnce, isStandard } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { epsilonOf } from './epsilon.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { type LinearParts, linearFunction, linearOperator } from './linear-function.ts';
import { isPackable, packWeight } from './packed-weight.ts';

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

/** A residual sum and a layer normalization, which read nothing else of a block's result. */
interface Norm {
  readonly residual: string;
  readonly norm: NodeProto;
}

/** A multiplication of each row by a number, such as a mask, which reads nothing else of a layer's result. */
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
      graph.node.push(...nodes);
      graph.initializer.push(...tensors);
    }
    const { product } = block.layers.at(-1) ?? block.layers[0];
    const behind = normBehind(product.output[0] ?? '', index, infos);
    // Where a sum is of two blocks, the first one has taken it.
    const found = behind && made.has(behind.norm) ? undefined : behind;
    const scaled = block.layers.length === 1 ? rowScaleBehind(product.output[0] ?? '', index, infos) : undefined;
    const parts: LinearParts = {
      layers: block.layers.length,
      hasGelu: block.hasGelu,
      hasNorm: found !== undefined,
      hasRowScale: scaled !== undefined,
    };
    const operator = linearOperator(parts);
    functions.set(operator, parts);
    made.set(scaled?.node ?? found?.norm ?? product, blockNode(operator, block, scaled ?? found, packed));
  }
  if (blocks.length === 0) return 0;
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  model.functions.push(...[...functions.values()].map(linearFunction));
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return blocks.length;
}

function blockNode(
  operator: string,
  { layers, x }: Block,
  behind: Norm | RowScale | undefined,
  packed: ReadonlyMap<string, string>,
) {
  const inputs = layers.flatMap(({ product, weight }) => {
    const [, , aScale = '', scale = '', aZeroPoint = '', , bias = ''] = product.input;
    return [aScale, aZeroPoint, packed.get(weight) ?? '', scale, bias];
  });
  const last = layers.at(-1) ?? layers[0];
  const others = behind ? ('norm' in behind ? [behind.residual, ...behind.norm.input.slice(1)] : [behind.factors]) : [];
  const norm = behind && 'norm' in behind ? behind.norm : undefined;
  const attributes = norm ? { epsilon: epsilonOf(norm) } : {};
  const end = behind && 'node' in behind ? behind.node : (norm ?? last.product);
  const node = makeNode(operator, last.product.name, [x, ...inputs, ...others], end.output, attributes);
  node.domain = DOMAIN;
  return node;
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

/** The sum and the normalization over the last dimension that alone read `result`. The last dimensions are the same. */
function normBehind(result: string, index: GraphIndex, infos: Infos): Norm | undefined {
  const [sum, ...others] = index.consumers.get(result) ?? [];
  if (sum?.opType !== 'Add' || sum.domain !== '' || others.length > 0 || index.outputs.has(result)) return undefined;
  const [total = ''] = sum.output;
  const residual = sum.input.find((name) => name !== result) ?? '';
  const norm = index.consumers.get(total)?.[0];
  const isNorm = norm?.opType === 'LayerNormalization' && norm.domain === '' && norm.output.length === 1;
  if (!isNorm || !isReadOnce(total, index) || norm.input[0] !== total) return undefined;
  const rank = infos.get(result)?.shape?.length;
  const axis = integerAttribute(norm, 'axis', -1);
  const [, ...constants] = norm.input;
  const isLast = axis === -1 || (rank !== undefined && axis === rank - 1);
  const isWhole = constants.length === 2 && constants.every((name) => index.initializer.get(name)?.dims.length === 1);
  const columns = constants.map((name) => index.initializer.get(name)?.dims[0]);
  const isRow = (name: string) => columns.every((size) => size === BigInt(infos.get(name)?.shape?.at(-1) ?? 0));
  return isLast && isWhole && [result, residual].every(isRow) ? { residual, norm } : undefined;
}
