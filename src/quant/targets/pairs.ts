/** Pairs of QuantizeLinear and DequantizeLinear around a node: the form of static quantization that runtimes share. */
import { append } from '../../base/append.ts';
import { copyNode, makeNode } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import type { NodeProto } from '../../onnx/types.ts';
import type { PlanEntry, PlannedActivation } from '../plan-entry.ts';
import { affineOf, type Scheme } from '../scheme.ts';
import { type Additions, quantizeWeight } from '../weights.ts';
import type { PlacingContext, QuantizedValue } from './target.ts';

/** How a target writes pairs. */
export interface PairFormat {
  /** The integers of activations. */
  readonly activations: Scheme;
  /** The integers of the second operand of a product of two activations; those of `activations` if it is not given. */
  readonly secondOperand?: Scheme;
  /** True if all users of a value share one DequantizeLinear; false if each has its own. */
  readonly sharesDequantized: boolean;
}

/** A planned activation, and the value at its place in the graph that is rewritten. */
interface LiveActivation {
  readonly activation: PlannedActivation;
  readonly value: string;
}

/**
 * The node between its pairs: on the inputs and outputs that the entry plans, and a DequantizeLinear behind its weight.
 *
 * @returns the nodes that replace `node`
 */
export function placePairs(
  { activations, weight, quantizable }: PlanEntry,
  node: NodeProto,
  context: PlacingContext,
  format: PairFormat,
): NodeProto[] {
  const nodes: NodeProto[] = [];
  const placed = copyNode(node);
  for (const activation of activations.filter(({ side }) => side === 'input')) {
    const value = node.input[activation.index] ?? '';
    const result = format.sharesDequantized
      ? `${value}.dequantized`
      : `${node.name}.Input${activation.index}.dequantized`;
    const known = context.shared.has(dequantizedKey(result));
    const isSecond = quantizable.form === 'activation-product' && activation.index === 1;
    const scheme = (isSecond ? format.secondOperand : undefined) ?? format.activations;
    const quantized = quantizeInput({ activation, value }, node.name, context, scheme);
    append(nodes, quantized.nodes);
    if (!known) nodes.push(dequantize(quantized.quantized, result));
    context.shared.set(dequantizedKey(result), quantized.quantized);
    placed.input[activation.index] = result;
  }
  if (weight) {
    const stored = quantizeWeight(weight, context.added);
    const result = `${node.name}.weight`;
    nodes.push(dequantize(stored, result, weight.axis));
    placed.input[weight.index] = result;
  }
  nodes.push(placed);
  for (const activation of activations.filter(({ side }) => side === 'output')) {
    const value = node.output[activation.index] ?? '';
    const float = `${value}.float`;
    const [scale, zeroPoint] = storeRange(activation, context.added, format.activations);
    const quantized = { values: `${float}.static_${integerName(format.activations)}`, scale, zeroPoint };
    placed.output[activation.index] = float;
    nodes.push(
      makeNode('QuantizeLinear', `${value}.QuantizeLinear`, [float, scale, zeroPoint], [quantized.values]),
      dequantize(quantized, value),
    );
  }
  return nodes;
}

const dequantizedKey = (result: string) => `${result} is made`;

/** Quantizes an input by its fixed range, once for a value and integer type however many nodes use it. */
export function quantizeInput(
  { activation, value }: LiveActivation,
  name: string,
  { added, shared }: PlacingContext,
  scheme: Scheme,
): { quantized: QuantizedValue; nodes: NodeProto[] } {
  const values = `${value}.static_${integerName(scheme)}`;
  const known = shared.get(values);
  if (known) return { quantized: known, nodes: [] };
  const [scale, zeroPoint] = storeRange(activation, added, scheme);
  const quantized = { values, scale, zeroPoint };
  shared.set(values, quantized);
  const label = `${name}.QuantizeLinear${activation.index}`;
  return { quantized, nodes: [makeNode('QuantizeLinear', label, [value, scale, zeroPoint], [quantized.values])] };
}

/** The names of scale and zero point of an activation's range, which are stored once for its source and integer type. */
function storeRange({ source, range }: PlannedActivation, added: Additions, scheme: Scheme): readonly [string, string] {
  const suffix = !isSigned(scheme) || scheme.symmetric ? '' : '_int8';
  const names = [`${source}.static_scale`, `${source}.static_zero_point${suffix}`] as const;
  const isStored = (wanted: string) => added.tensors.some(({ name }) => name === wanted);
  if (isStored(names[1])) return names;
  if (!range) throw new Error(`the range of ${source} is not resolved`);
  const { scale, zeroPoint } = affineOf(range, scheme);
  if (!isStored(names[0])) added.tensors.push(makeTensor(names[0], [], Float32Array.of(scale)));
  added.tensors.push(makeTensor(names[1], [], isSigned(scheme) ? Int8Array.of(zeroPoint) : Uint8Array.of(zeroPoint)));
  return names;
}

const isSigned = ({ lowest }: Scheme) => lowest < 0;

const integerName = (scheme: Scheme) => (isSigned(scheme) ? 'int8' : 'uint8');

function dequantize({ values, scale, zeroPoint }: QuantizedValue, result: string, axis?: number): NodeProto {
  const attributes = axis === undefined ? {} : { axis };
  return makeNode('DequantizeLinear', `${result}.DequantizeLinear`, [values, scale, zeroPoint], [result], attributes);
}
