/**
 * A linear layer in integers and a product by weights of each head, with nothing between them but constants and moves of values,
 * are one linear layer in integers by the product of both weights. Attention between image and text has such pairs on the side
 * of the text, where the projections of the image are weights that floats are multiplied by (models/grounding-dino/encoder.ts):
 *
 *     layer → by head → product        becomes   layer · product → by head
 *     product + bias → joined → layer   becomes   dynamic quantization → joined → product · layer
 *
 * The merged weight has int8 numbers and a scale for each column, as that of every layer. In the second case the floats that the
 * product read are quantized in place of its results, by their own range. Weights whose integers were chosen otherwise than by
 * rounding to the nearest are not merged (`mayRoundAgain` in targets/target.ts). Layers with dynamic quantization, which recipes
 * choose where every rounding counts, are left as they are.
 */
import { integersAttribute } from '../../../onnx/attributes.ts';
import { type GraphIndex, indexGraph, isStandard, onlyProducer, onlyReader } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import type { Mode } from '../../operators/operator.ts';
import { DEFAULT_WEIGHT_SCHEME } from '../../scheme.ts';
import { type Additions, emitter, quantizeWeight } from '../../weights.ts';
import { otherInput, rankOf, reshapesTo } from './attention-patterns.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { type Layer, layerOf } from './linear-blocks.ts';
import {
  countStoredFloats,
  headWeightsOf,
  type ProductBefore,
  type ProductBehind,
  weightWithProductBefore,
  weightWithProductBehind,
} from './merged-weight.ts';

/** A layer that takes the place of another layer and a product: bytes · weight + bias. */
interface Replacement {
  readonly product: ProductBehind | ProductBefore;
  /** The node of the product. */
  readonly node: NodeProto;
  /** The node whose result the merged layer computes. */
  readonly end: NodeProto;
  /** The layer whose bytes the merged one reads, or the floats [batch, heads, rows, columns] that it quantizes. */
  readonly reads: NodeProto | string;
  readonly heads: number;
  /** The result: of each head, [batch, heads, rows, columns], or transposed, [batch, heads, columns, rows]; or of all as rows. */
  readonly result: 'heads' | 'transposed heads' | 'rows';
}

/**
 * Rewrites the model in place.
 *
 * @param modes is given the names of the nodes that are computed in another mode now: products become static as the layers that
 * they are part of, or dynamic together with these
 * @returns the number of products that are part of a layer now
 */
export async function mergeHeadProducts(model: Model, modes: Map<string, Mode>): Promise<number> {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const layers = graph.node
    .flatMap((node) => layerOf(node, index, infos) ?? [])
    .filter(({ product }) => index.initializer.has(product.input[2] ?? ''));
  const found = layers.flatMap((layer) => [...productsBehind(layer, index, infos), ...productBefore(layer, index)]);
  if (found.length === 0) return 0;
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded: new Map() };
  for (const each of found) {
    replace(each, added);
    const isDynamic = typeof each.reads === 'string';
    modes.set(each.node.name, isDynamic ? 'dynamic' : 'static');
    if (isDynamic) modes.set(each.end.name, 'dynamic');
  }
  const ends = new Set(found.map(({ end }) => end));
  graph.node = [...graph.node.filter((node) => !ends.has(node)), ...added.nodes];
  graph.initializer.push(...added.tensors);
  sortTopologically(graph);
  removeUnused(model);
  await foldConstants(model);
  return found.length;
}

/** The products that read the result of a layer by head; none if anything else reads it too. */
function productsBehind(layer: Layer, index: GraphIndex, infos: Infos): Replacement[] {
  const split = onlyReader(layer.product, index);
  const moved = onlyReader(split, index);
  const shape = reshapesTo(split, index);
  const heads = shape?.[2] ?? 0;
  const isSplit = String(shape) === `0,0,${heads},-1` && heads > 0 && layer.dims[1] % heads === 0;
  if (!isSplit || rankOf(layer.product.input[0] ?? '', infos) !== 3 || !isTranspose(moved, '0,2,1,3')) return [];
  const scaled = onlyReader(moved, index);
  const factor = isStandard(scaled, 'Mul') ? otherInput(scaled, moved) : undefined;
  const isScaled = scaled !== undefined && countStoredFloats(factor, index) === 1;
  const rows = isScaled ? scaled : moved;
  const scaledLayer = { layer, factor: isScaled ? factor : undefined };
  const readersOf = ({ output: [name = ''] }: NodeProto) =>
    index.outputs.has(name) ? [undefined] : (index.consumers.get(name) ?? []);
  const found = readersOf(rows).flatMap((reader) =>
    isTranspose(reader, '0,1,3,2')
      ? readersOf(reader).map((product) => productOf(reader, product, true, scaledLayer, heads, index))
      : [productOf(rows, reader, false, scaledLayer, heads, index)],
  );
  const all = found.flatMap((each) => each ?? []);
  return all.length === found.length ? all : [];
}

/** The product of rows of a layer and weights of each head. Where the rows are transposed, the weights come first. */
function productOf(
  { output: [rows = ''] }: NodeProto,
  product: NodeProto | undefined,
  isTransposed: boolean,
  { layer, factor }: Pick<ProductBehind, 'layer' | 'factor'>,
  heads: number,
  index: GraphIndex,
): Replacement | undefined {
  const [place, other] = isTransposed ? [1, 0] : [0, 1];
  if (!isStandard(product, 'MatMul') || product.input[place] !== rows) return undefined;
  const ofHeads = headWeightsOf(product.input[other] ?? '', index);
  if (ofHeads?.heads !== heads) return undefined;
  const [inner, columns] = isTransposed ? [ofHeads.columns, ofHeads.rows] : [ofHeads.rows, ofHeads.columns];
  if (inner !== layer.dims[1] / heads) return undefined;
  const scaled = isTransposed ? undefined : onlyReader(product, index);
  const scales = isStandard(scaled, 'Mul') ? otherInput(scaled, product) : undefined;
  const isScaled = scaled !== undefined && countStoredFloats(scales, index) === columns;
  return {
    product: { layer, factor, ofHeads, isTransposed, scales: isScaled ? scales : undefined },
    node: product,
    end: isScaled ? scaled : product,
    reads: layer.product,
    heads,
    result: isTransposed ? 'transposed heads' : 'heads',
  };
}

/** The product of floats and weights of each head whose results, plus a bias, are what a layer quantizes and reads; alone. */
function productBefore(layer: Layer, index: GraphIndex): Replacement[] {
  const quantizer = onlyProducer(layer.product.input[0], index);
  const joined = onlyProducer(quantizer?.input[0], index);
  const moved = onlyProducer(joined?.input[0], index);
  const sum = onlyProducer(moved?.input[0], index);
  const isJoined = isStandard(quantizer, 'QuantizeLinear') && String(reshapesTo(joined, index)) === '0,0,-1';
  if (!isJoined || !isTranspose(moved, '0,2,1,3') || !isStandard(sum, 'Add')) return [];
  const product = sum.input.map((name) => onlyProducer(name, index)).find((node) => isStandard(node, 'MatMul'));
  const addend = product && otherInput(sum, product);
  const ofHeads = product && headWeightsOf(product.input[1] ?? '', index);
  const depth = layer.dims[0];
  if (!product || !addend || !ofHeads || countStoredFloats(addend, index) !== depth) return [];
  if (ofHeads.columns * ofHeads.heads !== depth) return [];
  return [
    {
      product: { layer, ofHeads, addend },
      node: product,
      end: layer.product,
      reads: product.input[0] ?? '',
      heads: ofHeads.heads,
      result: 'rows',
    },
  ];
}

const isTranspose = (node: NodeProto | undefined, perm: string): node is NodeProto =>
  isStandard(node, 'Transpose') && String(integersAttribute(node, 'perm')) === perm;

/** Adds the nodes of a merged layer. */
function replace({ product, end, reads, heads, result }: Replacement, added: Additions): void {
  const name = `${end.name}.Merged`;
  const emit = emitter(name, added);
  const { weight, bias } =
    'addend' in product ? weightWithProductBefore(product, name, emit) : weightWithProductBehind(product, name, emit);
  const { values, scale, zeroPoint } = quantizeWeight({ weight, axis: 1, scheme: DEFAULT_WEIGHT_SCHEME }, added);
  let [bytes = '', , aScale = '', , aZero = ''] = typeof reads === 'string' ? [] : reads.input;
  if (typeof reads === 'string') {
    [aScale, aZero] = [`${name}.scale`, `${name}.zero_point`];
    const quantized = `${name}.uint8`;
    added.nodes.push(
      makeNode('DynamicQuantizeLinear', `${name}.DynamicQuantizeLinear`, [reads], [quantized, aScale, aZero]),
    );
    bytes = emit('Reshape', [emit('Transpose', [quantized], { perm: [0, 2, 1, 3] }), [0, 0, -1]]);
  }
  const [output = ''] = end.output;
  const rows = result === 'rows' ? output : `${name}.rows`;
  const inputs = [bytes, values, aScale, scale, aZero, zeroPoint, bias];
  const layer = makeNode(INTEGER_PRODUCT, end.name, inputs, [rows]);
  layer.domain = CONTRIB;
  added.nodes.push(layer);
  const each = Number(weight.dims[1]) / heads;
  if (result === 'heads')
    emit('Transpose', [emit('Reshape', [rows, [0, 0, heads, each]])], { perm: [0, 2, 1, 3] }, output);
  // The Reshape keeps ONNX Runtime from joining this Transpose with one that follows to one of any order, which takes longer.
  if (result === 'transposed heads')
    emit('Reshape', [emit('Transpose', [rows], { perm: [0, 2, 1] }), [0, heads, each, -1]], {}, output);
}
