/**
 * Activation functions and shifts between quantized layers, computed on bytes. In float each of them would be a pass that
 * reads and writes four bytes for every element; ONNX Runtime fuses only some of them with a convolution in integers.
 *
 * - The multiplication or addition of one number behind an activation function becomes part of the scale and zero point of
 *   the QuantizeLinear that follows.
 * - HardSwish, x · clip(x / 6 + 1/2, 0, 1), is the product of two readings of the same bytes: x / 6 + 1/2 has the same
 *   integers as x with another scale and zero point, and clipping bytes is one cheap pass.
 * - Swish, x · sigmoid(x), is the product of x and a sigmoid that ONNX Runtime looks up in a table of 256 bytes.
 * - The pair between a convolution and a Relu or Clip is dropped where the quantization behind it clips as well.
 */
import { type GraphIndex, indexGraph, usedBy } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type GraphProto, type NodeProto } from '../../../onnx/types.ts';

/** A scale may grow by this factor so that a constant becomes a whole number of steps. */
const MAX_GROWTH = 1.25;
/** A range may be widened by this factor to contain the point where HardSwish becomes zero. */
const MAX_WIDENING = 1.6;
const HIGHEST = 255;

/** Rewrites the model in place. Returns the number of nodes that work on bytes now, or are not needed any more. */
export function computeOnBytes(model: Model): number {
  const { graph } = model;
  let changes = 0;
  let index = indexGraph(graph);
  for (const step of [dropPairsBeforeClips, absorbConstant, absorbConstant, hardSwishOnBytes, swishOnBytes])
    for (const node of [...graph.node]) {
      const parameters = isStandard(node) ? commonParameters(node, index) : undefined;
      if (!parameters || !step(graph, node, parameters, index)) continue;
      changes++;
      // A node whose result is not read any more must not count as a reader in the next step.
      const isRead = graph.node.some((each) => node.output.some((name) => usedBy(each).has(name)));
      if (!isRead) graph.node = graph.node.filter((each) => each !== node);
      // An index takes time, so it is made anew only after a change.
      index = indexGraph(graph);
    }
  if (changes > 0) {
    sortTopologically(graph);
    removeUnused(model);
  }
  return changes;
}

/** Scale and zero point of one quantization of a whole tensor to uint8. */
interface Parameters {
  readonly scale: string;
  readonly zeroPoint: string;
  /** The numbers that the two constants hold. */
  readonly step: number;
  readonly zero: number;
  /** The QuantizeLinear nodes. */
  readonly users: readonly NodeProto[];
}

const isStandard = ({ domain }: NodeProto) => domain === '';

/** The parameters with which every user of a node's only result quantizes it; undefined if they are not all the same. */
function commonParameters(node: NodeProto, index: GraphIndex): Parameters | undefined {
  const [result = '', ...others] = node.output;
  const users = index.consumers.get(result) ?? [];
  const [first] = users;
  const [, scale = '', zeroPoint = ''] = first?.input ?? [];
  const isSame = ({ opType, domain, input }: NodeProto) =>
    opType === 'QuantizeLinear' && domain === '' && input[1] === scale && input[2] === zeroPoint;
  if (!first || others.length > 0 || index.outputs.has(result) || !users.every(isSame)) return undefined;
  return parametersOf(scale, zeroPoint, users, index);
}

function parametersOf(scale: string, zeroPoint: string, users: readonly NodeProto[], index: GraphIndex) {
  const [step, zero] = [numberOf(scale, index, DataType.FLOAT), numberOf(zeroPoint, index, DataType.UINT8)];
  return step === undefined || zero === undefined ? undefined : { scale, zeroPoint, step, zero, users };
}

/** The number that a constant of one element holds. */
function numberOf(name: string, { initializer }: GraphIndex, type: DataType): number | undefined {
  const tensor = initializer.get(name);
  const isSingle = tensor?.dataType === type && tensor.dims.every((size) => size === 1n);
  return isSingle ? Number(tensorElements(tensor)[0]) : undefined;
}

function storeScale(graph: GraphProto, name: string, value: number): string {
  graph.initializer.push(makeTensor(name, [], Float32Array.of(value)));
  return name;
}

function storeByte(graph: GraphProto, name: string, value: number): string {
  graph.initializer.push(makeTensor(name, [], Uint8Array.of(value)));
  return name;
}

/** Changes the numbers of a quantization wherever it is used. */
function changeParameters(graph: GraphProto, { scale, zeroPoint }: Parameters, step: number, zero: number): void {
  graph.initializer = graph.initializer.filter(({ name }) => name !== scale && name !== zeroPoint);
  storeScale(graph, scale, step);
  storeByte(graph, zeroPoint, zero);
}

const clampByte = (value: number) => Math.min(Math.max(Math.round(value), 0), HIGHEST);

/** Q(a · x; s, z) = Q(x; s / a, z), and Q(x + b; s, z) = Q(x; s, z + b / s) where b / s is whole. */
function absorbConstant(graph: GraphProto, node: NodeProto, parameters: Parameters, index: GraphIndex): boolean {
  if (node.opType !== 'Mul' && node.opType !== 'Add') return false;
  const numbers = node.input.map((name) => numberOf(name, index, DataType.FLOAT));
  const [constant] = numbers.filter((number) => number !== undefined);
  const x = node.input[numbers.indexOf(undefined)];
  if (constant === undefined || x === undefined || !isActivation(x, index)) return false;
  if (node.opType === 'Add') return absorbShift(graph, x, constant, parameters, index);
  if (!(constant > 0)) return false;
  const scale = storeScale(graph, `${node.output[0]}.absorbed.scale`, parameters.step / constant);
  for (const user of parameters.users) user.input = [x, scale, parameters.zeroPoint];
  return true;
}

const ACTIVATIONS = new Set(['HardSwish', 'Relu', 'Clip', 'LeakyRelu', 'Sigmoid', 'HardSigmoid', 'Gelu']);

/** True for the result of an activation function, possibly scaled and shifted. */
function isActivation(name: string, index: GraphIndex): boolean {
  const node = index.producer.get(name);
  if (!node || ACTIVATIONS.has(node.opType)) return node !== undefined;
  if (node.opType !== 'Mul' && node.opType !== 'Add') return false;
  const [inner, ...others] = node.input.filter((input) => numberOf(input, index, DataType.FLOAT) === undefined);
  return inner !== undefined && others.length === 0 && isActivation(inner, index);
}

/** The rest of b after whole steps is added to the biases of the convolutions that follow; otherwise the scale grows a little. */
function absorbShift(graph: GraphProto, x: string, b: number, parameters: Parameters, index: GraphIndex): boolean {
  const readers = convolutionsBehind(parameters.users, index);
  const zeroPoint = `${parameters.users[0]?.name}.absorbed.zero_point`;
  const steps = Math.round(b / parameters.step);
  const moved = parameters.zero + steps;
  if (readers && moved >= 0 && moved <= HIGHEST) {
    storeByte(graph, zeroPoint, moved);
    for (const user of parameters.users) user.input = [x, parameters.scale, zeroPoint];
    for (const reader of readers) addToInput(graph, reader, b - steps * parameters.step, index);
    return true;
  }
  const whole = Math.floor(Math.abs(b) / parameters.step);
  const step = whole === 0 ? Number.POSITIVE_INFINITY : Math.abs(b) / whole;
  const zero = clampByte((parameters.zero * parameters.step) / step);
  const shifted = zero + Math.sign(b) * whole;
  if (step > MAX_GROWTH * parameters.step || shifted < 0 || shifted > HIGHEST) return false;
  changeParameters(graph, parameters, step, zero);
  storeByte(graph, zeroPoint, shifted);
  for (const user of parameters.users) user.input = [x, parameters.scale, zeroPoint];
  return true;
}

/** The convolutions that read the results of `quantizers`; undefined if anything else reads it, or their weights are not int8. */
function convolutionsBehind(quantizers: readonly NodeProto[], index: GraphIndex): NodeProto[] | undefined {
  const results = quantizers.map(({ output }) => output[0] ?? '');
  const pairs = results.flatMap((name) => index.consumers.get(name) ?? []);
  const values = pairs.map(({ output }) => output[0] ?? '');
  const readers = values.flatMap((name) => index.consumers.get(name) ?? []);
  const isInner = [...results, ...values].every((name) => !index.outputs.has(name));
  const isPair = pairs.every(({ opType }) => opType === 'DequantizeLinear');
  const canTake = ({ opType, input: [, dequantized = '', bias] }: NodeProto) => {
    const weight = index.producer.get(dequantized)?.input ?? [];
    const isStored = weight.length > 0 && weight.every((name) => index.initializer.has(name));
    return opType === 'Conv' && isStored && (!bias || index.initializer.has(bias));
  };
  return isInner && isPair && readers.every(canTake) ? readers : undefined;
}

/**
 * Makes a convolution compute as if `amount`, less than a step, were added to its input: the bias takes it. Padding
 * counts as shifted too, which is wrong by a part of that step at the border.
 */
function addToInput(graph: GraphProto, conv: NodeProto, amount: number, index: GraphIndex): void {
  const [x = '', dequantized = '', bias] = conv.input;
  const [weight = '', scale = ''] = index.producer.get(dequantized)?.input ?? [];
  const inner = (part: string) => `${conv.name}.shifted.${part}`;
  const axes = (index.initializer.get(weight)?.dims ?? []).map((_, axis) => BigInt(axis)).slice(1);
  graph.initializer.push(makeTensor(inner('axes'), [axes.length], BigInt64Array.from(axes)));
  storeScale(graph, inner('amount'), amount);
  graph.node.push(
    makeNode('Cast', inner('Cast'), [weight], [inner('float')], { to: DataType.FLOAT }),
    makeNode('ReduceSum', inner('ReduceSum'), [inner('float'), inner('axes')], [inner('sum')], { keepdims: 0 }),
    makeNode('Mul', inner('Scale'), [inner('sum'), scale], [inner('scaled')]),
    makeNode('Mul', inner('Mul'), [inner('scaled'), inner('amount')], [bias ? inner('shift') : inner('bias')]),
    ...(bias ? [makeNode('Add', inner('Add'), [bias, inner('shift')], [inner('bias')])] : []),
  );
  conv.input = [x, dequantized, inner('bias')];
}

/** The bytes behind a value that is dequantized with constant parameters. */
function bytesBehind(
  name: string,
  index: GraphIndex,
): { readonly bytes: string; readonly parameters: Parameters } | undefined {
  const node = index.producer.get(name);
  const [bytes = '', scale = '', zeroPoint = ''] = node?.opType === 'DequantizeLinear' ? node.input : [];
  const parameters = parametersOf(scale, zeroPoint, [], index);
  return parameters && { bytes, parameters };
}

function hardSwishOnBytes(graph: GraphProto, node: NodeProto, _: Parameters, index: GraphIndex): boolean {
  const [x = ''] = node.input;
  const found = node.opType === 'HardSwish' ? bytesBehind(x, index) : undefined;
  if (!found) return false;
  const { bytes, parameters } = found;
  // −3 must be a whole number of steps from 0 and within the range, so that x / 6 + 1/2 is an exact reading of the bytes.
  const highest = (HIGHEST - parameters.zero) * parameters.step;
  const lowest = Math.min(-parameters.zero * parameters.step, -3);
  const needed = Math.max(parameters.step, (highest - lowest) / HIGHEST);
  const whole = Math.floor(3 / needed);
  if (whole < 1) return false;
  const step = 3 / whole;
  const zero = Math.max(clampByte(-lowest / step), whole);
  if (step > MAX_WIDENING * parameters.step || zero > HIGHEST) return false;
  changeParameters(graph, parameters, step, zero);
  const inner = (part: string) => `${node.output[0]}.bytes.${part}`;
  const low = storeByte(graph, inner('low'), zero - whole);
  const high = storeByte(graph, inner('high'), Math.min(zero + whole, HIGHEST));
  const scale = storeScale(graph, inner('scale'), step / 6);
  replace(graph, node, [
    makeNode('Clip', inner('Clip'), [bytes, low, high], [inner('gate')]),
    makeNode('DequantizeLinear', inner('DequantizeLinear'), [inner('gate'), scale, low], [inner('gate_float')]),
    makeNode('Mul', node.name, [x, inner('gate_float')], node.output),
  ]);
  return true;
}

/** x · sigmoid(x), where x is dequantized: the sigmoid gets a pair of its own, with the range 0 … 1. */
function swishOnBytes(graph: GraphProto, node: NodeProto, _: Parameters, index: GraphIndex): boolean {
  if (node.opType !== 'Mul') return false;
  const gate = node.input.find((name) => index.producer.get(name)?.opType === 'Sigmoid') ?? '';
  const sigmoid = index.producer.get(gate);
  const x = sigmoid?.input[0] ?? '';
  if (!sigmoid || !node.input.includes(x) || !bytesBehind(x, index) || index.outputs.has(gate)) return false;
  const inner = (part: string) => `${gate}.bytes.${part}`;
  const scale = storeScale(graph, inner('scale'), 1 / HIGHEST);
  const zero = storeByte(graph, inner('zero_point'), 0);
  graph.node.push(
    makeNode('QuantizeLinear', inner('QuantizeLinear'), [gate, scale, zero], [inner('gate')]),
    makeNode('DequantizeLinear', inner('DequantizeLinear'), [inner('gate'), scale, zero], [inner('gate_float')]),
  );
  node.input = node.input.map((name) => (name === gate ? inner('gate_float') : name));
  return true;
}

/**
 * Conv → Q → DQ → Relu → Q': the first pair is not needed if Q' maps numbers below 0 to 0 and, for Clip, limits numbers to
 * its maximum.
 */
function dropPairsBeforeClips(_: GraphProto, node: NodeProto, parameters: Parameters, index: GraphIndex): boolean {
  const [x = '', low = '', high = ''] = node.input;
  const isClip = node.opType === 'Clip' && numberOf(low, index, DataType.FLOAT) === 0;
  const limit = isClip ? (numberOf(high, index, DataType.FLOAT) ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
  const isClipped = parameters.zero === 0 && HIGHEST * parameters.step <= limit * (1 + 1e-6);
  if ((node.opType !== 'Relu' && !isClip) || !isClipped) return false;
  const dequantize = index.producer.get(x);
  const quantize = index.producer.get(dequantize?.input[0] ?? '');
  if (dequantize?.opType !== 'DequantizeLinear' || quantize?.opType !== 'QuantizeLinear') return false;
  const isAlone = [x, quantize.output[0] ?? ''].every((name) => index.consumers.get(name)?.length === 1);
  if (!isAlone) return false;
  for (const user of parameters.users) user.input = [quantize.input[0] ?? '', ...user.input.slice(1)];
  return true;
}

function replace(graph: GraphProto, node: NodeProto, nodes: readonly NodeProto[]): void {
  graph.node.splice(graph.node.indexOf(node), 1, ...nodes);
}
