/**
 * Static INT8 for TensorRT's explicit quantization: Q/DQ pairs on the inputs of products and convolutions, never on their
 * results; int8 with zero point 0, one scale for an activation and one for each output channel of a weight; float biases. Of
 * a residual sum only the identity branch is quantized, so that the other branch fuses with the layer before it (NVIDIA,
 * https://docs.nvidia.com/deeplearning/tensorrt/latest/inference-library/quantized-types-explicit-quantization.html). The
 * placement follows these documents; it has not been measured on a GPU here.
 */
import { UsageError } from '../../../base/errors.ts';
import type { GraphIndex } from '../../../onnx/graph-index.ts';
import { lowerModel } from '../../../onnx/lower/lower.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import { INT8 } from '../../scheme.ts';
import { lintByTable } from '../lint-by-table.ts';
import { parseOperatorTable } from '../operator-table.ts';
import { placePairs } from '../pairs.ts';
import type { FloatGraph, QuantizationTarget } from '../target.ts';
import operatorData from './operators.json' with { type: 'json' };

/** The operators that TensorRT's parser takes. */
const operators = parseOperatorTable(operatorData, 'tensorrt/operators.json');

/**
 * TensorRT fuses an INT8 attention only for sequences up to this length; longer products are faster in float16 (NVIDIA's
 * developer guide, "Multi-Head Attention Fusion",
 * https://docs.nvidia.com/deeplearning/tensorrt/developer-guide/index.html#mha-fusion). Not measured here.
 */
const LONGEST_SEQUENCE = 512;

export const tensorRt: QuantizationTarget = {
  name: 'tensorrt',
  description: 'TensorRT, by its rules for explicit quantization',
  activations: INT8,
  looksUpByLength: false,
  narrow,
  place: (entry, node, context) => placePairs(entry, node, context, { activations: INT8, sharesDequantized: true }),
  // 17 is the newest version that TensorRT 8 takes, and later ones name GridSample's modes in a way that no version knows. TensorRT 8
  // gives the whole shape in place of a part of it.
  finish: (model) => lowerModel(model, { opset: 17, shapeParts: false }),
  operators,
  lint: async (model, { version }) => lintByTable(model, operators, 'tensorrt', version),
};

function narrow(entry: PlanEntry, graph: FloatGraph): PlanEntry | string {
  const { mode, path, weight, quantizable } = entry;
  if (mode === 'dynamic') return 'TensorRT has no dynamic quantization';
  if (mode === 'weight-only') return 'TensorRT stores no 8-bit weights for float operators';
  if (weight && weight.scheme.bits !== 8)
    throw new UsageError(
      `${path} has weights of 4 bits in the recipe, which TensorRT does not multiply by activations of 8; use 8 bits.`,
    );
  if (quantizable.form === 'integer-values') return `TensorRT has no kernel for ${entry.operator} of integers`;
  const inputs = entry.activations.filter(({ side }) => side === 'input');
  if (quantizable.form === 'activation-product') {
    const isWorthwhile = inputs.every(({ value }) => isShortProduct(value, graph));
    return isWorthwhile ? { ...entry, activations: inputs } : 'the product is over a dimension that is unknown or long';
  }
  if (!quantizable.isResidual) return { ...entry, activations: inputs };
  const identity = inputs.find(({ value }) => !isLayer(value, graph.index));
  return identity ? { ...entry, activations: [identity] } : 'both branches of the sum fuse with the layers before it';
}

/** True if one of the last two dimensions is known, and each known one is more than 1 and not too long. */
function isShortProduct(name: string, { infos }: FloatGraph): boolean {
  const dimensions = infos.get(name)?.shape?.slice(-2) ?? [];
  const known = dimensions.filter((dimension) => typeof dimension === 'number');
  return known.length > 0 && known.every((dimension) => dimension > 1 && dimension <= LONGEST_SEQUENCE);
}

/** True for the result of a layer, its bias included. */
function isLayer(name: string, { producer, initializer }: GraphIndex): boolean {
  const node = producer.get(name);
  const before = node?.opType === 'Add' ? node.input.map((input) => producer.get(input)) : [node];
  const hasBias = node?.opType !== 'Add' || node.input.some((input) => initializer.has(input));
  return hasBias && before.some((each) => ['MatMul', 'Gemm', 'Conv'].includes(each?.opType ?? ''));
}
