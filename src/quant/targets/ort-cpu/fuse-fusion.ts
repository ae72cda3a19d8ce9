/**
 * Attention between an image and a text in both directions becomes one operator (fusion-function.ts), where the scores and the
 * image's result are products of integers. The text's result is then computed from the integers of the image too. Its
 * weights, a softmax over tens of thousands of positions, would vanish in 8 bits where they are nodes of the graph; the
 * operator's kernel keeps them relative to the largest one of a few positions, which 8 bits represent well.
 */
import { integerAttribute, integersAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, FUSION_ATTENTION } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isStandard, onlyReader } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { isLastSoftmax, otherInput, rankOf, reshapesTo } from './attention-patterns.ts';
import { fusionFunction } from './fusion-function.ts';

/** A value as integers: their name, scale and zero point. */
type Bytes = readonly [values: string, scale: string, zeroPoint: string];

/** The attention of the image to the text: a softmax over tokens, and its product with values of the text. */
interface ImageSide {
  readonly tokenBias: string;
  readonly weights: Bytes;
  readonly toImage: Bytes;
  readonly bias: string;
  readonly result: string;
}

/** The attention of the text to the image. */
interface TextSide {
  /** Undefined where nothing is added to the scores. */
  readonly positionBias: string | undefined;
  readonly product: NodeProto;
}

/** Rewrites the model in place. Returns the number of operators that were made. */
export function fuseFusion(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const made = graph.node.flatMap((scores) => fusionOf(scores, index, infos) ?? []);
  if (made.length === 0) return 0;
  const replaced = new Set(made.flatMap(({ output }) => output));
  graph.node = [...graph.node.filter(({ output }) => !output.some((name) => replaced.has(name))), ...made];
  graph.initializer.push(makeTensor(NO_BIAS, [1, 1, 1], new Float32Array(1)));
  model.functions.push(fusionFunction({ hasNorm: false }));
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return made.length;
}

/** The bias of positions where the model has none. */
const NO_BIAS = 'dino8.no_position_bias';

/** The operator that begins with the product `scores`; undefined if the node is none, or if something else reads the scores. */
function fusionOf(scores: NodeProto, index: GraphIndex, infos: Infos): NodeProto | undefined {
  const [result = ''] = scores.output;
  const readers = index.consumers.get(result) ?? [];
  if (!isStandard(scores, 'MatMul') || readers.length !== 2 || index.outputs.has(result)) return undefined;
  const x = dequantized(scores.input[0], DataType.UINT8, index, infos);
  const toScores = dequantized(scores.input[1], DataType.INT8, index, infos);
  const image = readers.flatMap((reader) => imageSide(reader, index, infos) ?? [])[0];
  const text = readers.flatMap((reader) => textSide(reader, index, infos) ?? [])[0];
  if (!x || !toScores || !image || !text) return undefined;
  const isSameImage = sourceOf(text.product.input[1] ?? '', index) === sourceOf(x[0], index);
  const isMatrix = [x[0], toScores[0], image.toImage[0]].every((name) => rankOf(name, infos) === 3);
  if (!isSameImage || !isMatrix) return undefined;
  const inputs = [...x, ...toScores, image.tokenBias, text.positionBias ?? NO_BIAS];
  inputs.push(...image.weights.slice(1), ...image.toImage, image.bias);
  const outputs = [image.result, text.product.output[0] ?? ''];
  const node = makeNode(FUSION_ATTENTION, scores.name, inputs, outputs);
  node.domain = DOMAIN;
  return node;
}

/** scores → by head → + bias → Softmax → bytes → product → + bias */
function imageSide(byHead: NodeProto, index: GraphIndex, infos: Infos): ImageSide | undefined {
  const heads = reshapesTo(byHead, index)?.[2] ?? 0;
  const sum = onlyReader(byHead, index);
  const tokenBias = sum && isStandard(sum, 'Add') ? otherInput(sum, byHead) : undefined;
  const tokens = infos.get(tokenBias ?? '')?.shape;
  const isByHead = String(reshapesTo(byHead, index)) === `0,0,${heads},-1` && heads > 0;
  if (!isByHead || tokenBias === undefined || tokens?.length !== 4 || tokens[1] !== 1 || tokens[2] !== heads)
    return undefined;
  const softmax = onlyReader(sum, index);
  return isLastSoftmax(softmax, 4) ? imageProduct(tokenBias, softmax, index, infos) : undefined;
}

function imageProduct(tokenBias: string, softmax: NodeProto, index: GraphIndex, infos: Infos): ImageSide | undefined {
  const quantize = onlyReader(softmax, index);
  const flat = onlyReader(quantize, index);
  const dequantize = onlyReader(flat, index);
  const product = onlyReader(dequantize, index);
  const sum = onlyReader(product, index);
  const isChain = isStandard(quantize, 'QuantizeLinear') && String(reshapesTo(flat, index)) === '0,0,-1';
  if (!isChain || !dequantize || !product || !sum) return undefined;
  const weights = dequantized(product.input[0], DataType.UINT8, index, infos);
  const toImage = dequantized(product.input[1], DataType.INT8, index, infos);
  const isRange = weights?.[1] === quantize.input[1] && weights?.[2] === quantize.input[2];
  const isProduct = isStandard(product, 'MatMul') && product.input[0] === dequantize.output[0];
  const bias = isStandard(sum, 'Add') ? otherInput(sum, product) : undefined;
  const width = infos.get(product.output[0] ?? '')?.shape?.at(-1);
  const biasShape = infos.get(bias ?? '')?.shape;
  const isBias = bias !== undefined && biasShape?.length === 1 && biasShape[0] === width;
  if (!weights || !toImage || !isRange || !isProduct || !isBias) return undefined;
  return { tokenBias, weights, toImage, bias, result: sum.output[0] ?? '' };
}

/** scores → transposed → + bias, if there is one → Softmax → bytes and back, if the recipe says so → product */
function textSide(transpose: NodeProto, index: GraphIndex, infos: Infos): TextSide | undefined {
  if (!isStandard(transpose, 'Transpose') || String(integersAttribute(transpose, 'perm')) !== '0,2,1') return undefined;
  const next = onlyReader(transpose, index);
  const sum = next && isStandard(next, 'Add') ? next : undefined;
  const positionBias = sum && otherInput(sum, transpose);
  const positions = infos.get(positionBias ?? '')?.shape;
  if (sum && !(positions?.length === 3 && positions[1] === 1)) return undefined;
  const softmax = sum ? onlyReader(sum, index) : next;
  if (!isLastSoftmax(softmax, 3)) return undefined;
  let weights: NodeProto = softmax;
  let product = onlyReader(weights, index);
  for (const operator of ['QuantizeLinear', 'DequantizeLinear'])
    if (product && isStandard(product, operator)) {
      weights = product;
      product = onlyReader(product, index);
    }
  if (!product || !isStandard(product, 'MatMul') || product.input[0] !== weights.output[0]) return undefined;
  return { positionBias, product };
}

/** The integers of a type that become the float value `name`; their scale and zero point are single numbers. */
function dequantized(name = '', type: DataType, index: GraphIndex, infos: Infos): Bytes | undefined {
  const node = index.producer.get(name);
  if (!node || !isStandard(node, 'DequantizeLinear') || integerAttribute(node, 'block_size', 0) !== 0) return undefined;
  const [values = '', scale = '', zeroPoint = ''] = node.input;
  const isNumber = (each: string) => infos.get(each)?.shape?.every((size) => size === 1) ?? false;
  const isTyped = infos.get(values)?.type === type && infos.get(zeroPoint)?.type === type;
  return isTyped && isNumber(scale) && isNumber(zeroPoint) ? [values, scale, zeroPoint] : undefined;
}

/** The value that integers, or floats made of them, are quantized from. */
function sourceOf(name: string, index: GraphIndex): string {
  let source = name;
  for (const operator of ['DequantizeLinear', 'QuantizeLinear']) {
    const node = index.producer.get(source);
    if (node && isStandard(node, operator)) source = node.input[0] ?? '';
  }
  return source;
}
