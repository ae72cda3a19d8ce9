/**
 * Folds operations that scale and shift channels into the weight and bias of a layer before or behind them: batch
 * normalisation, and multiplications and additions of constants. Exporters leave such chains around layers; in 8 bits each
 * would be a pass of its own with a rounding of its own. The new weights are nodes over constants, which constant folding
 * computes once.
 */
import { findAttribute, integerAttribute, integersAttribute } from '../attributes.ts';
import { ChangingIndex } from '../changing-index.ts';
import type { GraphIndex } from '../graph-index.ts';
import type { Model } from '../read.ts';
import { makeNode, sortTopologically } from '../rewrite.ts';
import { makeTensor } from '../tensor.ts';
import { DataType, type NodeProto } from '../types.ts';

/** A layer whose result has its channels on one axis. */
interface Layer {
  readonly node: NodeProto;
  /** The number of channels of the result. */
  readonly channels: number;
  /** The number of dimensions of the result. */
  readonly rank: number;
  /** The axis of the result that holds the channels. */
  readonly axis: number;
  /** The shape in which a vector [channels] multiplies the weight. */
  readonly weightShape: readonly number[];
}

/** The map y = scale · x + shift, by the names of constants [channels] or [1]; undefined stands for a scale of 1 and a shift of 0. */
interface Affine {
  readonly scale?: string | undefined;
  readonly shift?: string | undefined;
}

/**
 * Folds the affine maps behind convolutions, transposed convolutions of one group and matrix products with a bias (Gemm), and
 * maps by single numbers before convolutions. The model computes the same up to rounding.
 *
 * @param model is changed
 * @returns the number of nodes that were folded
 */
export function foldAffine(model: Model): number {
  const index = new ChangingIndex(model.graph);
  let folded = 0;
  for (const node of [...model.graph.node]) for (; foldNext(index, node); ) folded++;
  index.finish();
  for (const node of model.graph.node.toReversed()) if (foldForward(index, node)) folded++;
  index.finish();
  if (folded > 0) sortTopologically(model.graph);
  return folded;
}

/** Folds the node behind `node` into it if possible. */
function foldNext(index: ChangingIndex, node: NodeProto): boolean {
  if (!['Conv', 'ConvTranspose', 'Gemm'].includes(node.opType) || node.domain !== '') return false;
  const [result = ''] = node.output;
  const [next, ...others] = index.consumers.get(result) ?? [];
  const layer = next && others.length === 0 && !index.outputs.has(result) ? layerOf(node, index) : undefined;
  if (!next || !layer) return false;
  const emit = emitter(index, `${next.name || next.output[0]}.folded`);
  const affine = affineOf(next, result, layer, index, emit);
  if (!affine) return false;
  const inputs = newInputs(layer, affine, emit);
  index.remove(next);
  index.change(node, inputs, [next.output[0] ?? '']);
  return true;
}

/** Adds a node over constants and returns its result; numbers are scalars, lists of numbers integer vectors. */
type Emit = (
  operator: string,
  inputs: readonly (string | number | readonly number[])[],
  attributes?: Parameters<typeof makeNode>[4],
) => string;

function emitter(index: ChangingIndex, prefix: string): Emit {
  let count = 0;
  return (operator, inputs, attributes = {}) => {
    const names = inputs.map((input) => {
      if (typeof input === 'string') return input;
      const name = `${prefix}.constant_${count++}`;
      index.addInitializer(
        typeof input === 'number'
          ? makeTensor(name, [1], Float32Array.of(input))
          : makeTensor(name, [input.length], BigInt64Array.from(input, BigInt)),
      );
      return name;
    });
    const output = `${prefix}.${operator}_${count++}`;
    index.add(makeNode(operator, output, names, [output], attributes));
    return output;
  };
}

/** Returns the shape of a float initializer; undefined for every other value. */
function constantShape(name: string, index: GraphIndex): readonly number[] | undefined {
  const tensor = index.initializer.get(name);
  return tensor?.dataType === DataType.FLOAT ? tensor.dims.map(Number) : undefined;
}

function layerOf(node: NodeProto, index: GraphIndex): Layer | undefined {
  const weight = originalWeight(node.input[1] ?? '', index);
  const shape = weight === undefined ? undefined : constantShape(weight, index);
  if (!shape) return undefined;
  const ones = (axis: number) => shape.map((_, at) => (at === axis ? -1 : 1));
  if (node.opType === 'Gemm') {
    const isPlain = ['alpha', 'beta'].every((name) => (findAttribute(node, name)?.f ?? 1) === 1);
    const axis = integerAttribute(node, 'transB', 0) ? 0 : 1;
    const channels = shape[axis] ?? 0;
    const bias = node.input[2] ? constantShape(originalWeight(node.input[2], index) ?? '', index) : [channels];
    const isVector = bias !== undefined && bias.reduce((product, size) => product * size, 1) === channels;
    return isPlain && isVector ? { node, channels, rank: 2, axis: 1, weightShape: ones(axis) } : undefined;
  }
  if (node.input[2] && originalWeight(node.input[2], index) === undefined) return undefined;
  const isTransposed = node.opType === 'ConvTranspose';
  if (isTransposed && integerAttribute(node, 'group', 1) !== 1) return undefined;
  const axis = isTransposed ? 1 : 0;
  return { node, channels: shape[axis] ?? 0, rank: shape.length, axis: 1, weightShape: ones(axis) };
}

/** Returns the initializer that a value is or, through the first inputs of nodes of earlier folds, is computed from. */
function originalWeight(name: string, index: GraphIndex): string | undefined {
  let original = name;
  while (!index.initializer.has(original)) {
    const node = index.producer.get(original);
    if (!node || !FOLDING.has(node.opType) || !original.includes('.folded')) return undefined;
    original = node.input[0] ?? '';
  }
  return original;
}

const FOLDING = new Set(['Mul', 'Add', 'Reshape', 'Expand', 'ReduceSum']);

function affineOf(next: NodeProto, x: string, layer: Layer, index: GraphIndex, emit: Emit): Affine | undefined {
  if (next.domain !== '') return undefined;
  if (next.opType === 'BatchNormalization')
    return next.input[0] === x ? batchNormalization(next, layer, index, emit) : undefined;
  const [a = '', b = ''] = next.input;
  const other = a === x ? b : a;
  if (a === b || !isByChannel(other, layer, index)) return undefined;
  switch (next.opType) {
    case 'Mul':
      return { scale: emit('Reshape', [other, [-1]]) };
    case 'Add':
      return { shift: emit('Reshape', [other, [-1]]) };
    case 'Sub':
      return a === x ? { shift: emit('Neg', [emit('Reshape', [other, [-1]])]) } : undefined;
    case 'Div':
      return a === x ? { scale: emit('Reciprocal', [emit('Reshape', [other, [-1]])]) } : undefined;
    default:
      return undefined;
  }
}

/** True for a constant that holds one number, or one number for each channel, and adds no dimensions to the result. */
function isByChannel(name: string, { rank, axis, channels }: Layer, index: GraphIndex): boolean {
  const shape = constantShape(name, index);
  if (!shape || shape.length > rank) return false;
  const aligned = [...new Array<number>(rank - shape.length).fill(1), ...shape];
  return aligned.every((size, at) => size === 1 || (at === axis && size === channels));
}

function batchNormalization(node: NodeProto, layer: Layer, index: GraphIndex, emit: Emit): Affine | undefined {
  const [, gamma = '', beta = '', mean = '', variance = ''] = node.input;
  const isInference = integerAttribute(node, 'training_mode', 0) === 0 && node.output.filter(Boolean).length === 1;
  const isStored = [gamma, beta, mean, variance].every((name) => constantShape(name, index)?.[0] === layer.channels);
  if (!isInference || !isStored) return undefined;
  const epsilon = findAttribute(node, 'epsilon')?.f ?? 1e-5;
  const scale = emit('Div', [gamma, emit('Sqrt', [emit('Add', [variance, epsilon])])]);
  return { scale, shift: emit('Sub', [beta, emit('Mul', [mean, scale])]) };
}

/** Returns the inputs of a layer that computes what the layer and the map behind it do. */
function newInputs({ node, channels, weightShape }: Layer, { scale, shift }: Affine, emit: Emit): string[] {
  const [x = '', weight = '', bias] = node.input;
  const byChannel = (vector: string) => emit('Expand', [vector, [channels]]);
  const flatBias = bias ? emit('Reshape', [bias, [-1]]) : undefined;
  const scaled = flatBias && scale ? emit('Mul', [flatBias, scale]) : flatBias;
  const moved = scaled && shift ? emit('Add', [scaled, shift]) : (scaled ?? shift);
  const newWeight = scale ? emit('Mul', [weight, emit('Reshape', [byChannel(scale), weightShape])]) : weight;
  return moved === undefined ? [x, newWeight] : [x, newWeight, byChannel(moved)];
}

/**
 * Folds a multiplication by a constant, or an addition of one, into the convolutions that read its result. An addition stays
 * before a convolution that pads: its zeros are put around the sum, so that the constant must not be added to them.
 */
function foldForward(index: ChangingIndex, node: NodeProto): boolean {
  if (node.domain !== '' || !['Mul', 'Add'].includes(node.opType)) return false;
  const [a = '', b = ''] = node.input;
  const [constant, x] = constantShape(a, index) ? [a, b] : [b, a];
  const [result = ''] = node.output;
  const readers = index.consumers.get(result) ?? [];
  const isSingle = constantShape(constant, index)?.every((size) => size === 1) ?? false;
  const isMul = node.opType === 'Mul';
  const canTake = (reader: NodeProto) =>
    reader.opType === 'Conv' &&
    reader.domain === '' &&
    reader.input.lastIndexOf(result) === 0 &&
    originalWeight(reader.input[1] ?? '', index) !== undefined &&
    (!reader.input[2] || originalWeight(reader.input[2], index) !== undefined) &&
    (isMul || !pads(reader));
  if (!isSingle || constantShape(x, index) || index.outputs.has(result) || readers.length === 0) return false;
  if (!readers.every(canTake)) return false;
  for (const reader of [...readers]) {
    const emit = emitter(index, `${reader.name}.${node.name || result}.folded`);
    const [, weight = '', bias] = reader.input;
    const scalar = emit('Reshape', [constant, [1]]);
    if (isMul) index.change(reader, [x, emit('Mul', [weight, scalar]), ...(bias ? [bias] : [])]);
    else {
      const axes = otherAxes(originalWeight(weight, index) ?? '', index);
      const sums = emit('ReduceSum', [weight, axes], { keepdims: 0 });
      const shift = emit('Mul', [sums, scalar]);
      index.change(reader, [x, weight, bias ? emit('Add', [bias, shift]) : shift]);
    }
  }
  index.remove(node);
  return true;
}

function pads(node: NodeProto): boolean {
  const mode = new TextDecoder().decode(findAttribute(node, 'auto_pad')?.s ?? new Uint8Array(0));
  return mode.startsWith('SAME') || (integersAttribute(node, 'pads')?.some((size) => size !== 0) ?? false);
}

/** Returns all axes of a stored weight but the first. */
const otherAxes = (name: string, index: GraphIndex) =>
  (constantShape(name, index) ?? []).map((_, axis) => axis).slice(1);
