/** Two integer products, the second of which reads nothing but the quantized results of the first, become one operator. */
import { create } from '@bufbuild/protobuf';
import { OperatorSetIdProtoSchema } from 'onnx-buf';
import { findAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, FEED_FORWARD, FEED_FORWARD_GELU } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { type FeedForwardOperator, feedForwardFunction } from './feed-forward-function.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { isPackable, packWeight } from './packed-weight.ts';

/** An integer product by a stored weight, and the QuantizeLinear before it. */
interface Layer {
  readonly product: NodeProto;
  readonly quantizer: NodeProto;
  /** The name of the weight, and its dimensions. */
  readonly weight: string;
  readonly dims: readonly [number, number];
}

/**
 * Rewrites the model in place. The weights are packed by nodes that the caller folds.
 *
 * @returns the number of pairs of products that are one operator now
 */
export function fuseFeedForward(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const found = graph.node.flatMap((node) => feedForwardEndingAt(node, index) ?? []);
  const packed = new Map<string, string>();
  for (const { layers, operator } of found) {
    for (const { weight, dims } of layers) {
      if (packed.has(weight)) continue;
      packed.set(weight, `${weight}.packed`);
      const { nodes, tensors } = packWeight(weight, dims, `${weight}.packed`);
      graph.node.unshift(...nodes);
      graph.initializer.push(...tensors);
    }
    const [first, second] = layers;
    const constants = ({ product, weight }: Layer) => [
      packed.get(weight) ?? '',
      product.input[3] ?? '',
      product.input[6] ?? '',
    ];
    const inputs = [
      ...first.quantizer.input,
      ...constants(first),
      ...second.quantizer.input.slice(1),
      ...constants(second),
    ];
    const fused = makeNode(operator, second.product.name, inputs, second.product.output);
    fused.domain = DOMAIN;
    graph.node[graph.node.indexOf(second.product)] = fused;
  }
  if (found.length > 0) {
    for (const operator of new Set(found.map((each) => each.operator)))
      model.functions.push(feedForwardFunction(operator));
    if (!model.opsetImport.some(({ domain }) => domain === DOMAIN))
      model.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: DOMAIN, version: 1n }));
    removeUnused(model);
  }
  return found.length;
}

function feedForwardEndingAt(
  node: NodeProto,
  index: GraphIndex,
): { readonly layers: readonly [Layer, Layer]; readonly operator: FeedForwardOperator } | undefined {
  const second = layerOf(node, index);
  if (!second) return undefined;
  const [bytes = '', hidden = ''] = [second.quantizer.output[0], second.quantizer.input[0]];
  if (!isReadOnce(bytes, index) || !isReadOnce(hidden, index)) return undefined;
  const before = index.producer.get(hidden);
  const isGelu = before?.opType === 'Gelu' && before.domain === '' && !findAttribute(before, 'approximate');
  const result = isGelu ? (before.input[0] ?? '') : hidden;
  const first = isReadOnce(result, index) ? layerOf(index.producer.get(result), index) : undefined;
  return first && { layers: [first, second], operator: isGelu ? FEED_FORWARD_GELU : FEED_FORWARD };
}

const isReadOnce = (name: string, { consumers, outputs }: GraphIndex) =>
  consumers.get(name)?.length === 1 && !outputs.has(name);

/** The layer of an integer product; undefined if the kernels cannot compute it. */
function layerOf(product: NodeProto | undefined, { producer, initializer }: GraphIndex): Layer | undefined {
  if (product?.opType !== INTEGER_PRODUCT || product.domain !== CONTRIB) return undefined;
  const [bytes = '', weight = '', , scale = '', , zeroPoint = '', bias = ''] = product.input;
  const quantizer = producer.get(bytes);
  const stored = initializer.get(weight);
  const [depth = 0, columns = 0] = stored?.dims.map(Number) ?? [];
  const zeros = initializer.get(zeroPoint);
  const isSymmetric = zeros !== undefined && tensorElements(zeros).every((element) => Number(element) === 0);
  const isSingle = (name: string, type: DataType) => {
    const tensor = initializer.get(name);
    return tensor?.dataType === type && tensor.dims.every((size) => size === 1n);
  };
  const isFixed =
    quantizer?.opType === 'QuantizeLinear' &&
    quantizer.domain === '' &&
    isSingle(quantizer.input[1] ?? '', DataType.FLOAT) &&
    isSingle(quantizer.input[2] ?? '', DataType.UINT8);
  const isStored = stored?.dataType === DataType.INT8 && stored.dims.length === 2;
  if (!isFixed || !isStored || !isSymmetric || !initializer.has(scale) || !initializer.has(bias)) return undefined;
  return isPackable(depth) ? { product, quantizer, weight, dims: [depth, columns] } : undefined;
}
