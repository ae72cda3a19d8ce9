/**
 * Static INT8 for ONNX Runtime on CPUs: activations are uint8 by ranges that calibration found, weights int8.
 *
 * Products become `com.microsoft::MatMulIntegerToFloat`, the operator that ONNX Runtime makes of Q/DQ pairs itself, because
 * it takes the bias along, which the fusion leaves as a pass of its own (measured in docs/performance.md). It is defined in
 * the file as a function with a standard body, for runtimes that do not have it.
 */
import { GraphBuilder } from '../../onnx/builder.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type FunctionProto, type NodeProto } from '../../onnx/types.ts';
import type { Statistic } from '../observe/statistic.ts';
import { affineOf, type Range, UINT8 } from '../scheme.ts';
import type { Assignment } from '../targets.ts';
import { type Additions, type QuantizedWeight, quantizeWeight } from '../weights.ts';
import type { Bias } from './bias.ts';
import { bucketParameters } from './text-buckets.ts';

export const CONTRIB = 'com.microsoft';
export const INTEGER_PRODUCT = 'MatMulIntegerToFloat';

/** A · B of integers as floats, plus a bias: the body of ONNX Runtime's operator. */
export function integerProductFunction(): FunctionProto {
  const b = new GraphBuilder(INTEGER_PRODUCT);
  const a = b.input('a', DataType.UINT8, []);
  const weight = b.input('b', DataType.INT8, []);
  const aScale = b.input('a_scale', DataType.FLOAT, []);
  const bScale = b.input('b_scale', DataType.FLOAT, []);
  const aZeroPoint = b.input('a_zero_point', DataType.UINT8, []);
  const bZeroPoint = b.input('b_zero_point', DataType.INT8, []);
  const bias = b.input('bias', DataType.FLOAT, []);
  const [product] = b.call('', 'MatMulInteger', [a, weight, aZeroPoint, bZeroPoint]);
  if (!product) throw new Error('MatMulInteger has one result');
  const real = b.mul(b.cast(product, DataType.FLOAT), b.mul(aScale, bScale));
  b.output('y', b.add(real, bias));
  return b.finishFunction(CONTRIB);
}

/** A quantized activation in the graph. */
interface Quantized {
  readonly values: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** Where ranges come from, and what has been added already. */
export interface StaticContext {
  readonly added: Additions;
  readonly rangeOf: (value: string) => Range;
  /** The value that holds the same numbers as another, where it is observed. */
  readonly sourceOf: (value: string) => string;
  /** The statistic of a value whose range follows the length of the text, and the value that has this length. */
  readonly bucketed: (source: string) => { readonly statistic: Statistic; readonly length: string } | undefined;
  /** The values that are quantized already. */
  readonly shared: Map<string, Quantized>;
}

/** What replaces `target.node`, and the addition of `bias` if there is one. */
export function quantizeStatically(target: Assignment, bias: Bias | undefined, context: StaticContext): NodeProto[] {
  if (target.node.opType !== 'MatMul') return quantizeByPairs(target, context);
  const { node, activation, weight: tensor, channelAxis } = target;
  const weight = quantizeWeight(tensor, channelAxis, context.added, target.weights);
  const input = quantizeInput(activation, node.name, context, true);
  const channels = Number(tensor.dims[channelAxis]);
  return [...input.nodes, integerProduct(node, input.quantized, weight, channels, bias, context)];
}

function integerProduct(
  node: NodeProto,
  a: Quantized,
  b: QuantizedWeight,
  channels: number,
  bias: Bias | undefined,
  { added }: StaticContext,
): NodeProto {
  // The operator could do without a bias, the function that stands in for it could not.
  const zeros = `dino8.zeros_${channels}`;
  if (!bias && !added.tensors.some(({ name }) => name === zeros))
    added.tensors.push(makeTensor(zeros, [channels], new Float32Array(channels)));
  const inputs = [a.values, b.values, a.scale, b.scale, a.zeroPoint, b.zeroPoint, bias?.values ?? zeros];
  const product = makeNode(INTEGER_PRODUCT, node.name, inputs, bias?.node.output ?? node.output);
  product.domain = CONTRIB;
  return product;
}

/** What replaces a product of two activations: Q/DQ pairs, which ONNX Runtime fuses. */
export function quantizeProductStatically(node: NodeProto, context: StaticContext): NodeProto[] {
  const [a = '', b = ''] = node.input;
  const left = pair(a, `${node.name}.Left`, context);
  const right = pair(b, `${node.name}.Right`, context);
  return [...left.nodes, ...right.nodes, { ...node, input: [left.result, right.result] }];
}

/** What replaces a deformable attention of float values: it reads them as bytes. */
export function quantizeValuesStatically(node: NodeProto, context: StaticContext): NodeProto[] {
  const [value = '', , , ...others] = node.input;
  const { quantized, nodes } = quantizeInput(value, node.name, context);
  return [...nodes, { ...node, input: [quantized.values, quantized.scale, quantized.zeroPoint, ...others] }];
}

/** What replaces an addition of two activations: ONNX Runtime makes one integer operator of it. */
export function quantizeSum(node: NodeProto, context: StaticContext): NodeProto[] {
  const [a = '', b = ''] = node.input;
  const [result = ''] = node.output;
  const left = pair(a, `${node.name}.Left`, context);
  const right = pair(b, `${node.name}.Right`, context);
  const sum = { ...node, input: [left.result, right.result], output: [`${result}.float`] };
  const output = pairNodes(`${result}.float`, result, `${node.name}.Output`, context.rangeOf(result), context.added);
  return [...left.nodes, ...right.nodes, sum, ...output];
}

/** Convolutions and Gemms, as Q/DQ pairs on what they take and, for a convolution, on what they give. */
function quantizeByPairs(target: Assignment, context: StaticContext): NodeProto[] {
  const { node, activation } = target;
  const weight = quantizeWeight(target.weight, target.channelAxis, context.added, target.weights);
  const weightInput = `${node.name}.weight`;
  const input = pair(activation, `${node.name}.Input`, context);
  const dequantize = makeNode(
    'DequantizeLinear',
    `${node.name}.WeightDequantizeLinear`,
    [weight.values, weight.scale, weight.zeroPoint],
    [weightInput],
    { axis: target.channelAxis },
  );
  const replaced = { ...node, input: [input.result, weightInput, ...node.input.slice(2)] };
  const nodes = [...input.nodes, dequantize, replaced];
  // A convolution becomes integer only if its output is quantized as well.
  if (node.opType !== 'Conv') return nodes;
  const [result = ''] = node.output;
  replaced.output = [`${result}.float`];
  return [
    ...nodes,
    ...pairNodes(`${result}.float`, result, `${node.name}.Output`, context.rangeOf(result), context.added),
  ];
}

/** x → QuantizeLinear, once for a value however often it is used. `mayVary`: the range may depend on the length of the text. */
function quantizeInput(
  x: string,
  name: string,
  context: StaticContext,
  mayVary = false,
): { quantized: Quantized; nodes: NodeProto[] } {
  const key = mayVary ? x : `${x} constant`;
  const known = context.shared.get(key);
  if (known) return { quantized: known, nodes: [] };
  const source = context.sourceOf(x);
  const varying = mayVary ? context.bucketed(source) : undefined;
  const bucketed = varying && bucketParameters(source, varying.statistic, varying.length, context.added);
  const [scale, zeroPoint] = bucketed
    ? [bucketed.scale, bucketed.zeroPoint]
    : parameters(source, context.rangeOf(x), context.added);
  const quantized = { values: `${x}.uint8${mayVary ? '' : '.constant'}`, scale, zeroPoint };
  context.shared.set(key, quantized);
  return {
    quantized,
    nodes: [
      ...(bucketed?.nodes ?? []),
      makeNode('QuantizeLinear', `${name}.QuantizeLinear`, [x, scale, zeroPoint], [quantized.values]),
    ],
  };
}

/** x → QuantizeLinear → DequantizeLinear. */
function pair(x: string, name: string, context: StaticContext): { result: string; nodes: NodeProto[] } {
  const { quantized, nodes } = quantizeInput(x, name, context);
  const result = `${name}.dequantized`;
  const inputs = [quantized.values, quantized.scale, quantized.zeroPoint];
  return { result, nodes: [...nodes, makeNode('DequantizeLinear', `${name}DequantizeLinear`, inputs, [result])] };
}

function pairNodes(x: string, result: string, name: string, range: Range, added: Additions): NodeProto[] {
  const affine = parameters(result, range, added);
  const values = `${x}.uint8`;
  return [
    makeNode('QuantizeLinear', `${name}QuantizeLinear`, [x, ...affine], [values]),
    makeNode('DequantizeLinear', `${name}DequantizeLinear`, [values, ...affine], [result]),
  ];
}

/** The names of scale and zero point of a range, stored once for `owner`. */
function parameters(owner: string, range: Range, added: Additions): readonly [string, string] {
  const names = [`${owner}.static_scale`, `${owner}.static_zero_point`] as const;
  if (added.tensors.some(({ name }) => name === names[0])) return names;
  const { scale, zeroPoint } = affineOf(range, UINT8);
  added.tensors.push(
    makeTensor(names[0], [], Float32Array.of(scale)),
    makeTensor(names[1], [], Uint8Array.of(zeroPoint)),
  );
  return names;
}
