/**
 * Static INT8 for TensorRT's explicit quantization: Q/DQ pairs on what products and convolutions take, never on what they
 * give; int8 with zero point 0, one scale for an activation and one for each output channel of a weight; biases float. Of a
 * residual sum only the identity branch is quantized, so that the other one fuses with the layer before it (NVIDIA's
 * developer guide, "Explicit quantization", and facts measured with it: see docs/architecture.md).
 */
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { Infos } from '../../onnx/infer/infer.ts';
import { makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { affineOf, INT8 } from '../scheme.ts';
import type { ActivationAssignment, Assignment } from '../targets.ts';
import { quantizeWeight } from '../weights.ts';
import type { StaticContext } from './ort-cpu.ts';

/** A product over a longer axis than this is faster in float16. */
const LONGEST_SEQUENCE = 512;

/** What replaces a product or convolution with a weight. */
export function quantizeForTensorRt(target: Assignment, context: StaticContext): NodeProto[] {
  const { node, activation, weightInput, channelAxis } = target;
  const weight = quantizeWeight(target.weight, channelAxis, context.added, target.weights);
  const dequantized = `${node.name}.weight`;
  const input = pair(activation, context);
  return [
    ...input.nodes,
    makeNode(
      'DequantizeLinear',
      `${node.name}.WeightDequantizeLinear`,
      [weight.values, weight.scale, weight.zeroPoint],
      [dequantized],
      { axis: channelAxis },
    ),
    {
      ...node,
      input: node.input.map((name, index) => (index === weightInput ? dequantized : index < 2 ? input.result : name)),
    },
  ];
}

/** What replaces a product or sum of activations; the node itself where INT8 would not help. */
export function quantizeActivationsForTensorRt(
  { node, kind }: ActivationAssignment,
  context: StaticContext,
  index: GraphIndex,
  infos: Infos,
): NodeProto[] {
  const [a = '', b = ''] = node.input;
  if (kind === 'product') {
    if (!isWorthwhile(a, infos) || !isWorthwhile(b, infos)) return [node];
    const [left, right] = [pair(a, context), pair(b, context)];
    return [...left.nodes, ...right.nodes, { ...node, input: [left.result, right.result] }];
  }
  if (kind !== 'sum') return [node];
  const identity = [a, b].find((name) => !isLayer(name, index));
  if (identity === undefined) return [node];
  const quantized = pair(identity, context);
  return [
    ...quantized.nodes,
    { ...node, input: node.input.map((name) => (name === identity ? quantized.result : name)) },
  ];
}

/** True if both extents that a product is over are known, more than 1, and not too long. */
function isWorthwhile(name: string, infos: Infos): boolean {
  const extents = infos.get(name)?.shape?.slice(-2) ?? [];
  const [rows, columns] = extents;
  const isKnown = [rows, columns].some((extent) => typeof extent === 'number');
  return isKnown && extents.every((extent) => typeof extent !== 'number' || (extent > 1 && extent <= LONGEST_SEQUENCE));
}

/** True for what a layer gives, its bias included. */
function isLayer(name: string, { producer, initializer }: GraphIndex): boolean {
  const node = producer.get(name);
  const before = node?.opType === 'Add' ? node.input.map((input) => producer.get(input)) : [node];
  const hasBias = node?.opType !== 'Add' || node.input.some((input) => initializer.has(input));
  return hasBias && before.some((each) => ['MatMul', 'Gemm', 'Conv'].includes(each?.opType ?? ''));
}

/** x → QuantizeLinear → DequantizeLinear, once for a value however often it is used. */
function pair(x: string, { shared, sourceOf, rangeOf, added }: StaticContext): { result: string; nodes: NodeProto[] } {
  const result = `${x}.dequantized`;
  if (shared.has(x)) return { result, nodes: [] };
  const owner = sourceOf(x);
  const [scale, zeroPoint] = [`${owner}.static_scale`, `${owner}.static_zero_point`];
  if (!added.tensors.some(({ name }) => name === scale))
    added.tensors.push(
      makeTensor(scale, [], Float32Array.of(affineOf(rangeOf(x), INT8).scale)),
      makeTensor(zeroPoint, [], Int8Array.of(0)),
    );
  const values = `${x}.int8`;
  shared.set(x, { values, scale, zeroPoint });
  return {
    result,
    nodes: [
      makeNode('QuantizeLinear', `${x}.QuantizeLinear`, [x, scale, zeroPoint], [values]),
      makeNode('DequantizeLinear', `${x}.DequantizeLinear`, [values, scale, zeroPoint], [result]),
    ],
  };
}
