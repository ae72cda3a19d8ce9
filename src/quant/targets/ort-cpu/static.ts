/** Static INT8 for ONNX Runtime on CPUs: activations are uint8 by ranges that calibration found, weights are int8. */
import { copyNode, makeNode } from '../../../onnx/rewrite.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import type { LengthLookup, PlanEntry, PlannedActivation, PlannedWeight } from '../../plan-entry.ts';
import { SHIFTED_INT8, UINT8 } from '../../scheme.ts';
import { quantizeWeight } from '../../weights.ts';
import { placePairs, quantizeInput } from '../pairs.ts';
import type { PlacingContext, QuantizedValue } from '../target.ts';
import { integerProduct } from './integer-product.ts';
import { bucketParameters } from './length-lookup.ts';

/** The nodes that replace `node`, and the addition of its bias if it has one. */
export function placeStatic(entry: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[] {
  switch (entry.quantizable.form) {
    case 'weighted-product':
      return placeLayer(entry, node, context);
    case 'integer-values':
      return placeIntegerValues(entry, node, context);
    default:
      // ONNX Runtime fuses pairs best if each user of a value has a DequantizeLinear of its own.
      return placePairs(entry, node, context, {
        activations: UINT8,
        secondOperand: SHIFTED_INT8,
        sharesDequantized: false,
      });
  }
}

function placeLayer({ activations, weight }: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[] {
  const [activation] = activations;
  if (!activation || !weight) throw new Error(`${node.name} has no activation or no weight to quantize`);
  const input = quantizeOperand(activation, node, context);
  return [...input.nodes, placeProduct(node, input.quantized, weight, context)];
}

/** The integer product of a quantized activation and a stored weight, with the addition of its bias if it has one. */
export function placeProduct(
  node: NodeProto,
  activation: QuantizedValue,
  weight: PlannedWeight,
  context: PlacingContext,
): NodeProto {
  const bias = context.biasOf(node);
  if (bias) context.absorb(bias.node);
  const stored = quantizeWeight(weight, context.added);
  const channels = Number(weight.weight.dims[weight.axis]);
  return integerProduct(node, activation, stored, channels, bias, context.added);
}

/** The operator reads the bytes themselves, with their scale and zero point in the two inputs after them. */
function placeIntegerValues({ activations }: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[] {
  const [activation] = activations;
  if (!activation) throw new Error(`${node.name} has no values to quantize`);
  const { quantized, nodes } = quantizeOperand(activation, node, context);
  return [...nodes, readingIntegers(node, activation.index, quantized)];
}

/** The node with the integers of `quantized` as its input `index`, and their scale and zero point as the two after it. */
export function readingIntegers(
  node: NodeProto,
  index: number,
  { values, scale, zeroPoint }: QuantizedValue,
): NodeProto {
  const input = [...node.input];
  input.splice(index, 3, values, scale, zeroPoint);
  return copyNode(node, { input });
}

/** Quantizes an input by its fixed range, or by one that is looked up by the length of the text. */
function quantizeOperand(
  activation: PlannedActivation,
  node: NodeProto,
  context: PlacingContext,
): { quantized: QuantizedValue; nodes: NodeProto[] } {
  const value = node.input[activation.index] ?? '';
  return activation.byLength
    ? quantizeByLength(activation, activation.byLength, value, node.name, context)
    : quantizeInput({ activation, value }, node.name, context, UINT8);
}

/** Quantizes an input by a range that is looked up by the length of the text, once for a value. */
function quantizeByLength(
  { source, index }: PlannedActivation,
  lookup: LengthLookup,
  value: string,
  name: string,
  { added, shared }: PlacingContext,
): { quantized: QuantizedValue; nodes: NodeProto[] } {
  const key = `${value} by length`;
  const known = shared.get(key);
  if (known) return { quantized: known, nodes: [] };
  const { scale, zeroPoint, nodes } = bucketParameters(source, lookup, added);
  const quantized = { values: `${value}.by_length_uint8`, scale, zeroPoint };
  shared.set(key, quantized);
  const label = `${name}.QuantizeLinear${index}`;
  return {
    quantized,
    nodes: [...nodes, makeNode('QuantizeLinear', label, [value, scale, zeroPoint], [quantized.values])],
  };
}
