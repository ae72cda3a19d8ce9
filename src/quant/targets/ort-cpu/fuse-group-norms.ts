/**
 * The projections of an image's levels stay rows of channels, as the backbone has them and the encoder wants them, where they are
 * quantized and end with group normalizations: 1x1 convolutions become integer products, the normalizations and the Concat that
 * joins the levels become one operator (group-norm-function.ts). Without this each level is transposed twice.
 */
import { findAttribute, integerAttribute, integersAttribute, setAttribute } from '../../../onnx/attributes.ts';
import { DOMAIN, GROUP_NORM_LEVELS } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isStandard, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, importDomain, makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type NodeProto, type TensorProto } from '../../../onnx/types.ts';
import { reshapesTo } from './attention-patterns.ts';
import { epsilonOf } from './epsilon.ts';
import { groupNormFunction, NORMED_LEVELS } from './group-norm-function.ts';
import { CONTRIB, declareIntegerProduct, INTEGER_PRODUCT } from './integer-product.ts';
import { isPackable } from './packed-weight.ts';
import { isRangeOf, pairOf, type Range, rangeOf } from './residual-sum.ts';

/**
 * Rewrites the model in place. Weights are transposed by nodes that the caller folds.
 *
 * @returns the number of operators that were made
 */
export function fuseGroupNorms(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const made = new Map<NodeProto, NodeProto[]>();
  for (const node of graph.node) {
    const levels = levelsJoinedBy(node, index, infos);
    if (!levels) continue;
    const [first] = levels;
    const groups = makeTensor(`${node.name}.groups`, [1], BigInt64Array.of(BigInt(first.groups)));
    graph.initializer.push(groups);
    const inputs = levels.flatMap(({ bytes, range, factors, offsets }) => [
      rowsName(bytes),
      ...range,
      factors,
      offsets,
    ]);
    const joined = makeNode(GROUP_NORM_LEVELS, node.name, [...inputs, groups.name], node.output);
    joined.domain = DOMAIN;
    setAttribute(joined, 'epsilon', epsilonOf(first.norm));
    made.set(node, [joined]);
    for (const level of levels) {
      for (const shape of level.shapes) made.set(shape, [sizesOfRows(shape, level)]);
      made.set(level.quantizer, quantizedRows(level, graph.initializer));
    }
  }
  if (made.size === 0) return 0;
  graph.node = graph.node.flatMap((node) => made.get(node) ?? [node]);
  model.functions.push(groupNormFunction());
  importDomain(model, DOMAIN);
  declareIntegerProduct(model);
  sortTopologically(graph);
  removeUnused(model);
  return [...made.values()].flat().filter(({ opType }) => opType === GROUP_NORM_LEVELS).length;
}

/** The group normalization of a map [batch, channels, height, width] in 8 bits, and what reads its result. */
interface Level {
  /** The node that quantizes the result of the convolution, the name of its bytes, and their scale and zero point. */
  readonly quantizer: NodeProto;
  readonly bytes: string;
  readonly range: Range;
  readonly convolution: NodeProto;
  /** The convolution as a product of rows; undefined if it is none. */
  readonly product: RowProduct | undefined;
  readonly norm: NodeProto;
  readonly groups: number;
  /** The names of the factor and the offset of each channel. */
  readonly factors: string;
  readonly offsets: string;
  /** Nodes that read the height and width of the result. */
  readonly shapes: readonly NodeProto[];
}

/** A 1x1 convolution, which multiplies the channels of each position by a weight. */
interface RowProduct {
  /** The rows that it reads: bytes [batch, height, width, channels]. */
  readonly rows: string;
  readonly range: Range;
  /** The names of the int8 weight [out, in, 1, 1], of its scales [out] and of its zero points. */
  readonly weight: readonly [values: string, scale: string, zeroPoint: string];
  readonly dims: readonly [columns: number, depth: number];
  readonly bias: string;
}

type Levels = readonly [Level, ...Level[]];

const rowsName = (bytes: string) => `${bytes}.rows`;

/** The levels that a Concat joins; undefined if they are not as many as the operator takes, or one has another form. */
function levelsJoinedBy(node: NodeProto, index: GraphIndex, infos: Infos): Levels | undefined {
  if (!isStandard(node, 'Concat') || node.input.length !== NORMED_LEVELS) return undefined;
  const isOfPositions = [1, -2].includes(integerAttribute(node, 'axis') ?? 0);
  const levels = isOfPositions ? node.input.flatMap((name) => levelEndingIn(name, index, infos) ?? []) : [];
  const [first, ...others] = levels;
  if (!first || levels.length !== NORMED_LEVELS) return undefined;
  const isAlike = ({ groups, norm }: Level) =>
    groups === first.groups && epsilonOf(norm).value === epsilonOf(first.norm).value;
  return others.every(isAlike) ? [first, ...others] : undefined;
}

/** The level whose positions [batch, positions, channels] are a value. */
function levelEndingIn(name: string, index: GraphIndex, infos: Infos): Level | undefined {
  const transpose = onlyProducer(name, index);
  const flat = isStandard(transpose, 'Transpose') ? onlyProducer(transpose.input[0], index) : undefined;
  const sum = index.producer.get(flat?.input[0] ?? '');
  const shapes = (index.consumers.get(sum?.output[0] ?? '') ?? []).filter((node) => node !== flat);
  const [batch, channels = 0, positions, ...more] = reshapesTo(flat, index) ?? [];
  const isFlat = batch === 0 && positions === -1 && more.length === 0;
  const isByPosition = transpose && integersAttribute(transpose, 'perm')?.join() === '0,2,1';
  const [scaled, offsets] = sum ? scaledBehind(sum, 'Add', channels, index) : [];
  const [normed, factors] = scaled ? scaledBehind(scaled, 'Mul', channels, index) : [];
  if (!isFlat || !isByPosition || !normed || offsets === undefined || factors === undefined) return undefined;
  const found = normEndingIn(normed, channels, index, infos);
  return found && shapes.every(readsSizes) && !index.outputs.has(sum?.output[0] ?? '')
    ? { ...found, factors, offsets, shapes }
    : undefined;
}

/** The nodes before a sum or product with a stored number for each channel, and the name of these numbers [channels, 1, 1]. */
function scaledBehind(
  node: NodeProto,
  operator: 'Add' | 'Mul',
  channels: number,
  index: GraphIndex,
): [before: NodeProto, numbers: string] | [] {
  if (!isStandard(node, operator)) return [];
  const numbers = node.input.find((name) => index.initializer.has(name)) ?? '';
  const before = onlyProducer(
    node.input.find((name) => name !== numbers),
    index,
  );
  return before && index.initializer.get(numbers)?.dims.map(Number).join() === `${channels},1,1`
    ? [before, numbers]
    : [];
}

/** True for a Shape that gives the height and width of a map. */
const readsSizes = (node: NodeProto): boolean =>
  isStandard(node, 'Shape') && integerAttribute(node, 'start', 0) === 2 && integerAttribute(node, 'end', 4) === 4;

/** The normalization that a Reshape back to the shape of the map ends. */
function normEndingIn(
  reshape: NodeProto,
  channels: number,
  index: GraphIndex,
  infos: Infos,
): Omit<Level, 'factors' | 'offsets' | 'shapes'> | undefined {
  const norm = isStandard(reshape, 'Reshape') ? onlyProducer(reshape.input[0], index) : undefined;
  const grouped = isStandard(norm, 'InstanceNormalization') ? onlyProducer(norm.input[0], index) : undefined;
  const shape = onlyProducer(reshape.input[1], index);
  const x = grouped?.input[0] ?? '';
  const isOfX = isStandard(shape, 'Shape') && shape.input[0] === x && shape.attribute.every(isOfWholeShape);
  const [batch, groups = 0, rest, ...more] = reshapesTo(grouped, index) ?? [];
  const isGrouped = batch === 0 && groups > 0 && rest === -1 && more.length === 0 && channels % groups === 0;
  const isPlain = norm && hasAll(norm.input[1], 1, index) && hasAll(norm.input[2], 0, index);
  const readers = index.consumers.get(x) ?? [];
  if (!norm || !isOfX || !isGrouped || !isPlain || index.outputs.has(x) || readers.length !== 2) return undefined;
  const dequantizer = index.producer.get(x);
  const quantizer = index.producer.get(dequantizer?.input[0] ?? '');
  if (!quantizer || pairOf(quantizer, index) !== dequantizer) return undefined;
  const convolution = onlyProducer(quantizer.input[0], index);
  const range = rangeOf(quantizer);
  if (!isStandard(convolution, 'Conv') || !isRangeOf(range, DataType.UINT8, infos)) return undefined;
  const [bytes = ''] = quantizer.output;
  return { quantizer, bytes, range, convolution, product: productOf(convolution, index, infos), norm, groups };
}

/** True for an attribute of Shape that does not leave out dimensions. */
const isOfWholeShape = ({ name, i }: NodeProto['attribute'][number]): boolean => name === 'start' && i === 0n;

/** True if all numbers of a stored tensor are `value`. */
function hasAll(name: string | undefined, value: number, { initializer }: GraphIndex): boolean {
  const tensor = initializer.get(name ?? '');
  return tensor !== undefined && tensorElements(tensor).every((each) => Number(each) === value);
}

/** A quantized 1x1 convolution of transposed rows as a product of the rows. */
function productOf(convolution: NodeProto, index: GraphIndex, infos: Infos): RowProduct | undefined {
  const [x = '', weightName = '', bias] = convolution.input;
  const [dequantizer, weight] = [onlyProducer(x, index), onlyProducer(weightName, index)];
  if (!isStandard(dequantizer, 'DequantizeLinear') || !isStandard(weight, 'DequantizeLinear')) return undefined;
  const transpose = index.producer.get(dequantizer.input[0] ?? '');
  const range = rangeOf(dequantizer);
  const [values = '', scale = '', zeroPoint = ''] = weight.input;
  const stored = index.initializer.get(values);
  const [columns = 0, depth = 0, ...kernel] = stored?.dims.map(Number) ?? [];
  const isOfRows = isStandard(transpose, 'Transpose') && integersAttribute(transpose, 'perm')?.join() === '0,3,1,2';
  const isOfPoints = kernel.join() === '1,1' && isPackable(depth) && movesByOne(convolution);
  const isStored = stored?.dataType === DataType.INT8 && index.initializer.has(scale) && hasAll(zeroPoint, 0, index);
  const isByColumn = integerAttribute(weight, 'axis', 1) === 0 || index.initializer.get(scale)?.dims.length === 0;
  if (!isOfRows || !isOfPoints || !isStored || !isByColumn || bias === undefined) return undefined;
  if (!isRangeOf(range, DataType.UINT8, infos) || !index.initializer.has(bias)) return undefined;
  return {
    rows: transpose.input[0] ?? '',
    range,
    weight: [values, scale, zeroPoint],
    dims: [columns, depth],
    bias,
  };
}

/** True for a convolution that reads each position once: without strides, pads and groups. */
function movesByOne(convolution: NodeProto): boolean {
  const isAll = (name: string, value: number) =>
    integersAttribute(convolution, name)?.every((each) => each === value) ?? true;
  const isPadded = findAttribute(convolution, 'auto_pad') !== undefined;
  return isAll('strides', 1) && isAll('pads', 0) && integerAttribute(convolution, 'group', 1) === 1 && !isPadded;
}

/** Nodes that make the bytes of a level as rows [batch, height, width, channels]. Weights are added to `initializer`. */
function quantizedRows({ quantizer, bytes, product, convolution }: Level, initializer: TensorProto[]): NodeProto[] {
  if (!product) {
    const transpose = makeNode('Transpose', `${quantizer.name}.Rows`, [bytes], [rowsName(bytes)], {
      perm: [0, 2, 3, 1],
    });
    return [quantizer, transpose];
  }
  const { rows, range, weight, dims, bias } = product;
  const [values, scale, zeroPoint] = weight;
  const inner = (part: string) => `${values}.${part}`;
  const floats = `${quantizer.input[0]}.rows`;
  initializer.push(makeTensor(inner('shape'), [2], BigInt64Array.from(dims, BigInt)));
  const multiplied = makeNode(
    INTEGER_PRODUCT,
    convolution.name,
    [rows, inner('transposed'), range[0], scale, range[1], zeroPoint, bias],
    [floats],
  );
  multiplied.domain = CONTRIB;
  return [
    makeNode('Reshape', inner('Reshape'), [values, inner('shape')], [inner('flat')]),
    makeNode('Transpose', inner('Transpose'), [inner('flat')], [inner('transposed')], { perm: [1, 0] }),
    multiplied,
    copyNode(quantizer, { input: [floats, ...quantizer.input.slice(1)], output: [rowsName(bytes)] }),
  ];
}

/** The Shape of the rows of a level in the place of one of its map. */
const sizesOfRows = (shape: NodeProto, { bytes }: Level): NodeProto =>
  makeNode('Shape', shape.name, [rowsName(bytes)], shape.output, { start: 1, end: 3 });
