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
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { foldConstants } from '../../../runtime/fold-constants.ts';
import { DEFAULT_WEIGHT_SCHEME } from '../../scheme.ts';
import { type Additions, emitter, quantizeWeight } from '../../weights.ts';
import { otherInput, rankOf, reshapesTo } from './attention-patterns.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';
import { type Layer, layerOf } from './linear-blocks.ts';
import {
  columnsOf,
  joinedColumns,
  joinedRows,
  type Matrix,
  rowsOf,
  scaledColumns,
  times,
  transposed,
} from './matrix.ts';

/** A layer that takes the place of another layer and a product: bytes · weight + bias. */
interface Replacement {
  readonly weight: Matrix;
  readonly bias: Matrix;
  /** The node whose result the merged layer computes. */
  readonly end: NodeProto;
  /** The layer whose bytes the merged one reads, or the floats [batch, heads, rows, columns] that it quantizes. */
  readonly reads: NodeProto | string;
  readonly heads: number;
  /** The result: of each head, [batch, heads, rows, columns], or transposed, [batch, heads, columns, rows]; or of all as rows. */
  readonly result: 'heads' | 'transposed heads' | 'rows';
}

/** Rewrites the model in place. Returns the number of products that are part of a layer now. */
export async function mergeHeadProducts(model: Model): Promise<number> {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const layers = graph.node
    .flatMap((node) => layerOf(node, index, infos) ?? [])
    .filter(({ product }) => index.initializer.has(product.input[2] ?? ''));
  const found = layers.flatMap((layer) => [...productsBehind(layer, index, infos), ...productBefore(layer, index)]);
  if (found.length === 0) return 0;
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded: new Map() };
  for (const each of found) replace(each, added);
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
  const factor = isStandard(scaled, 'Mul') ? numbersOf(otherInput(scaled, moved), index) : undefined;
  const rows = factor?.length === 1 && scaled ? scaled : moved;
  const layered = layerWithBias(layer, index);
  const weight = scaledColumns(layered, new Float64Array(layered.columns).fill((rows === scaled && factor?.[0]) || 1));
  const readersOf = ({ output: [name = ''] }: NodeProto) =>
    index.outputs.has(name) ? [undefined] : (index.consumers.get(name) ?? []);
  const found = readersOf(rows).flatMap((reader) =>
    isTranspose(reader, '0,1,3,2')
      ? readersOf(reader).map((product) => productOf(reader, product, true, weight, heads, layer, index))
      : [productOf(rows, reader, false, weight, heads, layer, index)],
  );
  const all = found.flatMap((each) => each ?? []);
  return all.length === found.length ? all : [];
}

/** The product of rows of a layer and weights of each head. Where the rows are transposed, the weights come first. */
function productOf(
  { output: [rows = ''] }: NodeProto,
  product: NodeProto | undefined,
  isTransposed: boolean,
  weight: Matrix,
  heads: number,
  layer: Layer,
  index: GraphIndex,
): Replacement | undefined {
  const [place, other] = isTransposed ? [1, 0] : [0, 1];
  if (!isStandard(product, 'MatMul') || product.input[place] !== rows) return undefined;
  const stored = matricesOf(product.input[other], index);
  const right = isTransposed ? stored?.map(transposed) : stored;
  const columns = right?.[0]?.columns ?? 0;
  if (right?.length !== heads || right[0]?.rows !== weight.columns / heads) return undefined;
  const scaled = isTransposed ? undefined : onlyReader(product, index);
  const scales = isStandard(scaled, 'Mul') ? numbersOf(otherInput(scaled, product), index) : undefined;
  const isScaled = scaled !== undefined && scales?.length === columns;
  const parts = right.map((each, head) => {
    const part = times(columnsOf(weight, head, heads), each);
    return isScaled ? scaledColumns(part, scales) : part;
  });
  return {
    ...withoutBias(joinedColumns(parts)),
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
  const biases = product && numbersOf(otherInput(sum, product), index);
  const stored = product && matricesOf(product.input[1], index);
  const heads = stored?.length ?? 0;
  const [depth, columns] = layer.dims;
  if (!product || !biases || !stored || biases.length !== depth || (stored[0]?.columns ?? 0) * heads !== depth)
    return [];
  const { weight, bias } = withoutBias(layerWithBias(layer, index));
  const parts = stored.map((each, head) => times(each, rowsOf(weight, head, heads)));
  const moreBias = times({ data: biases, rows: 1, columns: depth }, weight);
  return [
    {
      weight: joinedRows(parts),
      bias: { data: bias.data.map((value, column) => value + (moreBias.data[column] ?? 0)), rows: 1, columns },
      end: layer.product,
      reads: product.input[0] ?? '',
      heads,
      result: 'rows',
    },
  ];
}

const isTranspose = (node: NodeProto | undefined, perm: string): node is NodeProto =>
  isStandard(node, 'Transpose') && String(integersAttribute(node, 'perm')) === perm;

/** The numbers of a stored float tensor. */
function numbersOf(name: string | undefined, { initializer }: GraphIndex): Float64Array | undefined {
  const stored = initializer.get(name ?? '');
  return stored?.dataType === DataType.FLOAT ? Float64Array.from(tensorElements(stored), Number) : undefined;
}

/** A matrix for each head, of stored floats [1, heads, rows, columns] or of bytes with a scale for each column (scale-columns.ts). */
function matricesOf(name = '', index: GraphIndex): Matrix[] | undefined {
  const scale = index.producer.get(name);
  const bytes = isStandard(scale, 'Mul') ? index.producer.get(scale.input[0] ?? '') : undefined;
  const isOfBytes = isStandard(bytes, 'DequantizeLinear') && bytes.input.length === 2;
  const stored = index.initializer.get(isOfBytes ? (bytes.input[0] ?? '') : name);
  const [one, heads = 0, rows = 0, columns = 0] = stored?.dims.map(Number) ?? [];
  const unit = isOfBytes ? numbersOf(bytes.input[1], index) : Float64Array.of(1);
  const scales = isOfBytes ? numbersOf(scale?.input[1], index) : new Float64Array(columns).fill(1);
  if (stored?.dims.length !== 4 || one !== 1 || unit?.length !== 1 || scales?.length !== columns) return undefined;
  const data = Float64Array.from(tensorElements(stored), Number).map((value) => value * (unit[0] ?? 1));
  return Array.from({ length: heads }, (_, head) =>
    scaledColumns({ data: data.subarray(head * rows * columns, (head + 1) * rows * columns), rows, columns }, scales),
  );
}

/** The weight of a layer, with the bias as its last row. */
function layerWithBias({ product, weight, dims: [depth, columns] }: Layer, index: GraphIndex): Matrix {
  const stored = index.initializer.get(weight);
  const scale = numbersOf(product.input[3], index) ?? new Float64Array();
  const scales = scale.length === 1 ? new Float64Array(columns).fill(scale[0] ?? 1) : scale;
  const data = stored ? Float64Array.from(tensorElements(stored), Number) : new Float64Array();
  const bias = numbersOf(product.input[6], index) ?? new Float64Array();
  return joinedRows([scaledColumns({ data, rows: depth, columns }, scales), { data: bias, rows: 1, columns }]);
}

function withoutBias({ data, rows, columns }: Matrix): { readonly weight: Matrix; readonly bias: Matrix } {
  const end = (rows - 1) * columns;
  return {
    weight: { data: data.subarray(0, end), rows: rows - 1, columns },
    bias: { data: data.subarray(end), rows: 1, columns },
  };
}

/** Adds the nodes of a merged layer. */
function replace({ weight, bias, end, reads, heads, result }: Replacement, added: Additions): void {
  const name = `${end.name}.Merged`;
  const emit = emitter(name, added);
  const { columns } = weight;
  const tensor = makeTensor(`${name}.weight`, [weight.rows, columns], Float32Array.from(weight.data));
  const biasName = `${name}.bias`;
  added.tensors.push(tensor, makeTensor(biasName, [columns], Float32Array.from(bias.data)));
  const { values, scale, zeroPoint } = quantizeWeight(
    { weight: tensor, axis: 1, scheme: DEFAULT_WEIGHT_SCHEME },
    added,
  );
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
  const inputs = [bytes, values, aScale, scale, aZero, zeroPoint, biasName];
  const product = makeNode(INTEGER_PRODUCT, end.name, inputs, [rows]);
  product.domain = CONTRIB;
  added.nodes.push(product);
  const each = columns / heads;
  if (result === 'heads')
    emit('Transpose', [emit('Reshape', [rows, [0, 0, heads, each]])], { perm: [0, 2, 1, 3] }, output);
  // The Reshape keeps ONNX Runtime from joining this Transpose with one that follows to one of any order, which takes longer.
  if (result === 'transposed heads')
    emit('Reshape', [emit('Transpose', [rows], { perm: [0, 2, 1] }), [0, heads, each, -1]], {}, output);
}
