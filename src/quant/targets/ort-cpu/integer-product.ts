/**
 * `com.microsoft::MatMulIntegerToFloat`, an integer matrix product with a float result and a bias. ONNX Runtime makes this
 * operator of Q/DQ pairs itself, but its fusion leaves the bias as a pass of its own (measured in docs/performance.md). The
 * file defines it as a function with a standard body, for runtimes that do not have it.
 */
import { GraphBuilder } from '../../../onnx/builder.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import { DataType, type FunctionProto, type NodeProto } from '../../../onnx/types.ts';
import type { Bias } from '../../bias.ts';
import type { Additions, QuantizedWeight } from '../../weights.ts';
import type { QuantizedValue } from '../target.ts';

export const CONTRIB = 'com.microsoft';
export const INTEGER_PRODUCT = 'MatMulIntegerToFloat';

/** The operator as a function: A · B of integers as floats, plus a bias. */
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

/** Defines the operator in a model that uses it, unless it is defined there. */
export function declareIntegerProduct(model: Model): void {
  const isProduct = (domain: string, name: string) => domain === CONTRIB && name === INTEGER_PRODUCT;
  if (!model.graph.node.some(({ opType, domain }) => isProduct(domain, opType))) return;
  if (model.functions.some(({ name, domain }) => isProduct(domain, name))) return;
  model.functions.push(integerProductFunction());
  importDomain(model, CONTRIB);
}

/** The node that replaces the product `node`, and the addition of `bias` if there is one. */
export function integerProduct(
  node: NodeProto,
  a: QuantizedValue,
  b: QuantizedWeight,
  channels: number,
  bias: Bias | undefined,
  added: Additions,
): NodeProto {
  // ONNX Runtime's operator has an optional bias; the function that takes its place elsewhere needs one.
  const zeros = `dino8.zeros_${channels}`;
  if (!bias && !added.tensors.some(({ name }) => name === zeros))
    added.tensors.push(makeTensor(zeros, [channels], new Float32Array(channels)));
  const inputs = [a.values, b.values, a.scale, b.scale, a.zeroPoint, b.zeroPoint, bias?.values ?? zeros];
  const product = makeNode(INTEGER_PRODUCT, node.name, inputs, bias?.node.output ?? node.output);
  product.domain = CONTRIB;
  return product;
}
