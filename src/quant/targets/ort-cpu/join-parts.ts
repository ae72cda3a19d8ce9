/**
 * Two integer layers that are computed for some rows at a time, so that what is between them never exists as a whole, are
 * computed at once again: the kernels of `linear-blocks.ts` go through a few rows at a time by themselves. The parts have
 * calibrated ranges of their own; the joined layers have the range that contains them all.
 */
import { integerAttribute } from '../../../onnx/attributes.ts';
import { type GraphIndex, indexGraph, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { removeUnused } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type GraphProto, type NodeProto } from '../../../onnx/types.ts';
import { affineOf, type Range, UINT8 } from '../../scheme.ts';
import { CONTRIB, INTEGER_PRODUCT } from './integer-product.ts';

/** The nodes of one part, in the order in which they are computed. */
interface Part {
  readonly first: NodeProto;
  /** A Gelu or a Relu between the products, if there is one. */
  readonly activation?: NodeProto | undefined;
  readonly quantizer: NodeProto;
  readonly second: NodeProto;
  /** The range that the quantizer can represent. */
  readonly range: Range;
}

/** Rewrites the model in place. Returns the number of pairs of layers that are computed at once now. */
export function joinParts(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  let joined = 0;
  for (const node of [...graph.node]) {
    const parts = node.opType === 'Concat' && node.domain === '' ? partsOf(node, index, infos) : undefined;
    const split = parts && splitBefore(parts, node, index);
    if (!parts || !split) continue;
    join(graph, parts, split, node);
    joined++;
  }
  if (joined > 0) removeUnused(model);
  return joined;
}

/** The parts that a Concat joins along another dimension than the last; undefined if an input is none, or computes otherwise. */
function partsOf(concat: NodeProto, index: GraphIndex, infos: Infos): Part[] | undefined {
  const rank = infos.get(concat.output[0] ?? '')?.shape?.length ?? 0;
  const axis = integerAttribute(concat, 'axis', -1);
  if (axis < 0 || axis >= rank - 1 || concat.input.length < 2) return undefined;
  const parts = concat.input.flatMap((name) => partEndingIn(name, index) ?? []);
  const [one] = parts;
  if (!one || parts.length !== concat.input.length) return undefined;
  const isSame = ({ first, activation, second }: Part) =>
    activation?.opType === one.activation?.opType &&
    equalBut([0], first, one.first) &&
    equalBut([0, 2, 4], second, one.second);
  return parts.every(isSame) ? parts : undefined;
}

/** True if two nodes have the same inputs except at some places. */
function equalBut(places: readonly number[], a: NodeProto, b: NodeProto): boolean {
  return a.input.length === b.input.length && a.input.every((name, at) => places.includes(at) || name === b.input[at]);
}

function partEndingIn(result: string, index: GraphIndex): Part | undefined {
  const second = onlyProducer(result, index);
  const quantizer = onlyProducer(second?.input[0], index);
  if (!isProduct(second) || quantizer?.opType !== 'QuantizeLinear' || quantizer.domain !== '') return undefined;
  const range = rangeOf(quantizer, index);
  const before = onlyProducer(quantizer.input[0], index);
  const isActivation =
    before?.domain === '' && ['Gelu', 'Relu'].includes(before.opType) && before.attribute.length === 0;
  const first = isActivation ? onlyProducer(before.input[0], index) : before;
  if (!isProduct(first) || !range) return undefined;
  return { first, activation: isActivation ? before : undefined, quantizer, second, range };
}

const isProduct = (node: NodeProto | undefined): node is NodeProto =>
  node?.opType === INTEGER_PRODUCT && node.domain === CONTRIB;

/** The numbers from the lowest to the highest byte; undefined if the range is computed, or not of a whole tensor. */
function rangeOf(
  { input: [, scaleName = '', zeroName = ''] }: NodeProto,
  { initializer }: GraphIndex,
): Range | undefined {
  const [scale, zero] = [initializer.get(scaleName), initializer.get(zeroName)];
  const isSingle = scale?.dims.length === 0 && zero?.dims.length === 0;
  if (!isSingle || scale.dataType !== DataType.FLOAT || zero.dataType !== DataType.UINT8) return undefined;
  const [step, zeroPoint] = [Number(tensorElements(scale)[0]), Number(tensorElements(zero)[0])];
  return { min: (UINT8.lowest - zeroPoint) * step, max: (UINT8.highest - zeroPoint) * step };
}

/** The Split whose results are the inputs of all parts, in the order of the Concat and along its axis. */
function splitBefore(parts: readonly Part[], concat: NodeProto, index: GraphIndex): NodeProto | undefined {
  const split = index.producer.get(parts[0]?.first.input[0] ?? '');
  if (split?.opType !== 'Split' || split.domain !== '' || split.output.length !== parts.length) return undefined;
  const isAligned = integerAttribute(split, 'axis', 0) === integerAttribute(concat, 'axis', -1);
  return isAligned && split.output.every((name, at) => name === parts[at]?.first.input[0]) ? split : undefined;
}

/** The first part computes everything. */
function join(graph: GraphProto, parts: readonly Part[], split: NodeProto, concat: NodeProto): void {
  const [part] = parts;
  if (!part) throw new Error('a Concat has at least one part');
  const range = {
    min: Math.min(...parts.map((each) => each.range.min)),
    max: Math.max(...parts.map((each) => each.range.max)),
  };
  const { scale, zeroPoint } = affineOf(range, UINT8);
  const [scaleName, zeroName] = [`${concat.name}.joined_scale`, `${concat.name}.joined_zero_point`];
  graph.initializer.push(
    makeTensor(scaleName, [], Float32Array.of(scale)),
    makeTensor(zeroName, [], Uint8Array.of(zeroPoint)),
  );
  part.first.input[0] = split.input[0] ?? '';
  part.quantizer.input.splice(1, 2, scaleName, zeroName);
  part.second.input[2] = scaleName;
  part.second.input[4] = zeroName;
  part.second.output = [...concat.output];
  graph.node.splice(graph.node.indexOf(concat), 1);
}
