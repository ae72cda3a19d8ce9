/**
 * The interface of an operator that can be quantized. Each operator has a file of its own beside this one, which says all
 * that the quantizer knows about it; `operators.ts` is the table of them.
 */
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { Infos } from '../../onnx/infer/infer.ts';
import { DataType, type NodeProto, type TensorProto } from '../../onnx/types.ts';

/**
 * How a node is computed:
 * - `float`: as it is
 * - `dynamic`: weights are int8, and activations are quantized at each run by their own range
 * - `static`: weights are int8, and activations are quantized by ranges from calibration
 * - `weight-only`: weights are stored as int8 and converted to float when the model runs
 */
export const MODES = ['float', 'dynamic', 'static', 'weight-only'] as const;
/** How a node is computed: one of `MODES`. */
export type Mode = (typeof MODES)[number];

/** An input or an output of a node, by its index. */
export interface Port {
  /** Whether it is an input or an output. */
  readonly side: 'input' | 'output';
  /** The index among the inputs or the outputs, from 0. */
  readonly index: number;
}

/** The input of a node at an index. */
export const inputPort = (index: number): Port => ({ side: 'input', index });
/** The output of a node at an index. */
export const outputPort = (index: number): Port => ({ side: 'output', index });

/**
 * The form of a quantized node, which tells a target how to place it without knowing the operator:
 * - `weighted-product`: a matrix product of an activation [..., inputs] and a stored weight [inputs, channels]
 * - `activation-product`: a matrix product of two activations
 * - `lookup`: rows of a stored table are selected by integers
 * - `integer-values`: the operator itself reads 8-bit values; the two inputs after them take their scale and zero point
 * - `pairs`: any other operator; QuantizeLinear and DequantizeLinear go before the stated inputs and after the stated outputs
 */
export type Form = 'weighted-product' | 'activation-product' | 'lookup' | 'integer-values' | 'pairs';

/** A stored float weight among the inputs of a node. */
export interface StoredWeight {
  /** The index of the input that is the weight. */
  readonly input: number;
  /** The axis of the weight along which every entry has its own scale. */
  readonly channelAxis: number;
  /** The initializer of the graph. */
  readonly tensor: TensorProto;
  /** The widths in which the integers can be stored. */
  readonly bits: readonly (8 | 4)[];
}

/** The inputs, outputs and weight of one node that can be quantized. */
export interface QuantizableNode {
  /** How targets place the node. */
  readonly form: Form;
  /** The stored weight; undefined if the node computes with activations only. */
  readonly weight?: StoredWeight | undefined;
  /** Indices of the inputs that are activations and can be quantized. */
  readonly inputs: readonly number[];
  /** Indices of the outputs that must be quantized too, so that runtimes compute the node in integers. */
  readonly outputs: readonly number[];
  /** The modes that a recipe may choose besides `float`. */
  readonly modes: readonly Mode[];
  /** True if a rule applies to the operator only where it names it, because the operator is in places that few mean. */
  readonly mustBeNamed?: boolean | undefined;
  /** True for the addition of two activations; a target may then quantize only one of them. */
  readonly isResidual?: boolean | undefined;
  /** Further inputs or outputs whose statistics a recipe may need, besides those that are quantized in the mode `static`. */
  readonly alsoObserved?: readonly Port[] | undefined;
  /** False if a calibration without a recipe leaves them out unless everything is asked for: few recipes need them. */
  readonly isObservedByDefault: boolean;
}

/** The inputs and outputs of a node whose statistics a recipe may need. */
export function observedPorts({ inputs, outputs, modes, alsoObserved = [] }: QuantizableNode): Port[] {
  const quantized = modes.includes('static') ? [...inputs.map(inputPort), ...outputs.map(outputPort)] : [];
  return [...quantized, ...alsoObserved];
}

/** The graph around a node. */
export interface GraphFacts {
  /** The producers and users of each value. */
  readonly index: GraphIndex;
  /** Types and shapes of values, as far as shape inference knows them. */
  readonly infos: Infos;
}

/** An operator that can be quantized. */
export interface QuantizableOperator {
  /** The operator's type in ONNX, which recipes name in `operators`. */
  readonly name: string;
  /** The operator's domain; '' for standard ONNX. */
  readonly domain: string;
  /** @returns what can be quantized of this node; undefined if nothing can */
  match(node: NodeProto, graph: GraphFacts): QuantizableNode | undefined;
}

/**
 * The stored float weight of a node with two operands, one of which is an initializer of at least two dimensions.
 *
 * @returns undefined if both operands are activations or both are stored, and for weights that are not float: they are
 * quantized already
 */
export function storedWeight(
  node: NodeProto,
  { initializer }: GraphIndex,
): { readonly input: number; readonly tensor: TensorProto } | undefined {
  const [first, second] = [0, 1].map((input) => initializer.get(node.input[input] ?? ''));
  const tensor = first ?? second;
  if ((first && second) || !tensor || tensor.dataType !== DataType.FLOAT || tensor.dims.length < 2) return undefined;
  const input = first ? 0 : 1;
  return node.input[1 - input] ? { input, tensor } : undefined;
}
