/**
 * Static INT8 for ONNX Runtime on CPUs: activations by ranges that calibration found, as QuantizeLinear /
 * DequantizeLinear pairs placed so that each one fuses with the operator behind it (see docs/architecture.md).
 */
import { makeNode } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import type { NodeProto } from '../onnx/types.ts';
import { affineOf, type Range, UINT8 } from './scheme.ts';
import type { Assignment } from './targets.ts';
import { type Additions, quantizeWeight } from './weights.ts';

/** What replaces `target.node`. `shared` remembers the activations that are quantized already. */
export function quantizeStatically(
  target: Assignment,
  rangeOf: (activation: string) => Range,
  shared: Map<string, string>,
  added: Additions,
): NodeProto[] {
  const { node, activation } = target;
  const weight = quantizeWeight(target.weight, target.channelAxis, added);
  const weightInput = `${node.name}.weight`;
  const weightInputs = [weight.values, weight.scale, weight.zeroPoint];
  const [, , ...others] = node.input;
  const nodes: NodeProto[] = [];
  let input = shared.get(activation);
  if (input === undefined) {
    input = `${activation}.dequantized`;
    shared.set(activation, input);
    nodes.push(...quantizePair(activation, input, `${node.name}.Input`, rangeOf(activation), added));
  }
  nodes.push(
    makeNode('DequantizeLinear', `${node.name}.WeightDequantizeLinear`, weightInputs, [weightInput], {
      axis: target.channelAxis,
    }),
  );
  const replaced = makeNode(node.opType, node.name, [input, weightInput, ...others], node.output);
  replaced.attribute = node.attribute;
  // A convolution becomes integer only if its output is quantized as well.
  if (node.opType === 'Conv') {
    const [result = ''] = node.output;
    replaced.output = [`${result}.float`];
    nodes.push(replaced, ...quantizePair(`${result}.float`, result, `${node.name}.Output`, rangeOf(result), added));
  } else nodes.push(replaced);
  return nodes;
}

/** The values whose ranges a static target needs. */
export function observedValues({ node, activation }: Assignment): string[] {
  return node.opType === 'Conv' ? [activation, ...node.output] : [activation];
}

/** What replaces a deformable attention of float values: it reads them as bytes. */
export function quantizeValuesStatically(
  node: NodeProto,
  rangeOf: (activation: string) => Range,
  added: Additions,
): NodeProto[] {
  const [value = '', , , ...others] = node.input;
  const [quantized, values, parameters] = quantizeValue(value, node.name, rangeOf(value), added);
  return [quantized, { ...node, input: [values, ...parameters, ...others] }];
}

/** x → QuantizeLinear → DequantizeLinear → result. */
function quantizePair(x: string, result: string, name: string, range: Range, added: Additions): NodeProto[] {
  const [quantized, values, parameters] = quantizeValue(x, name, range, added);
  return [quantized, makeNode('DequantizeLinear', `${name}DequantizeLinear`, [values, ...parameters], [result])];
}

/** x → QuantizeLinear: the node, the name of its result, and those of scale and zero point. */
function quantizeValue(
  x: string,
  name: string,
  range: Range,
  added: Additions,
): readonly [NodeProto, string, readonly [string, string]] {
  const { scale, zeroPoint } = affineOf(range, UINT8);
  const parameters = [`${x}.static_scale`, `${x}.static_zero_point`] as const;
  added.tensors.push(
    makeTensor(parameters[0], [], Float32Array.of(scale)),
    makeTensor(parameters[1], [], Uint8Array.of(zeroPoint)),
  );
  const values = `${x}.static_uint8`;
  return [makeNode('QuantizeLinear', `${name}QuantizeLinear`, [x, ...parameters], [values]), values, parameters];
}
