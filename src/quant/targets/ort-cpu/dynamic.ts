/**
 * Dynamic INT8 for ONNX Runtime on CPUs: the weight is stored as int8, the activation is quantized at each run by its own
 * range. A layer is the same operator as a static one, which reads the range of a run in place of a constant. For a product of
 * two activations, DynamicQuantizeLinear, MatMulInteger, Cast and Mul are the form that ONNX Runtime fuses into one operator.
 */
import { makeNode } from '../../../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import type { PlacingContext, QuantizedValue } from '../target.ts';
import { placeProduct, readingIntegers } from './static.ts';

/** The nodes that replace `node`. */
export function placeDynamic(entry: PlanEntry, node: NodeProto, context: PlacingContext): NodeProto[] {
  const quantized = entry.activations.map(({ index }) => quantizeActivation(node, index, context));
  const before = quantized.flatMap(({ nodes }) => nodes);
  const [first, second] = quantized.map(({ value }) => value);
  if (!first) throw new Error(`${node.name} has no activation to quantize`);
  if (entry.quantizable.form === 'integer-values')
    return [...before, readingIntegers(node, entry.activations[0]?.index ?? 0, first)];
  if (second) return [...before, ...integerProduct(node, first, second)];
  if (!entry.weight) throw new Error(`${node.name} has no second operand to quantize`);
  return [...before, placeProduct(node, first, entry.weight, context)];
}

function quantizeActivation(
  node: NodeProto,
  index: number,
  { shared }: PlacingContext,
): { value: QuantizedValue; nodes: NodeProto[] } {
  const name = node.input[index] ?? '';
  const key = `${name} dynamic`;
  const known = shared.get(key);
  if (known) return { value: known, nodes: [] };
  const value = { values: `${name}.uint8`, scale: `${name}.scale`, zeroPoint: `${name}.zero_point` };
  shared.set(key, value);
  const outputs = [value.values, value.scale, value.zeroPoint];
  const label = `${node.name}.DynamicQuantizeLinear${index === 1 ? '2' : ''}`;
  return { value, nodes: [makeNode('DynamicQuantizeLinear', label, [name], outputs)] };
}

/** The integer product, converted to float by the product of the scales. */
function integerProduct(node: NodeProto, a: QuantizedValue, b: QuantizedValue): NodeProto[] {
  const inner = (suffix: string) => `${node.name}.${suffix}`;
  return [
    makeNode('MatMulInteger', inner('MatMulInteger'), [a.values, b.values, a.zeroPoint, b.zeroPoint], [inner('int32')]),
    makeNode('Cast', inner('Cast'), [inner('int32')], [inner('float')], { to: DataType.FLOAT }),
    makeNode('Mul', inner('Scale'), [a.scale, b.scale], [inner('scale')]),
    makeNode('Mul', inner('Rescale'), [inner('float'), inner('scale')], node.output),
  ];
}
