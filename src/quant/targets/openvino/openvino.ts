/**
 * Static INT8 for OpenVINO: pairs of uint8 activations and int8 weights around the nodes that its low-precision
 * transformations fuse, in standard operators without functions, which its reader of ONNX files does not know
 * (https://docs.openvino.ai/2026/documentation/openvino-extensibility/openvino-plugin-library/advanced-guides/low-precision-transformations.html).
 */
import { UsageError } from '../../../base/errors.ts';
import { lowerModel } from '../../../onnx/lower/lower.ts';
import type { PlanEntry } from '../../plan-entry.ts';
import { UINT8 } from '../../scheme.ts';
import { placeBytePairs } from '../byte-pairs.ts';
import { lintByTable } from '../lint-by-table.ts';
import { parseOperatorTable } from '../operator-table.ts';
import type { QuantizationTarget } from '../target.ts';
import operatorData from './operators.json' with { type: 'json' };

/** The operators that OpenVINO's reader of ONNX files takes. */
const operators = parseOperatorTable(operatorData, 'openvino/operators.json');

export const openVino: QuantizationTarget = {
  name: 'openvino',
  description: 'OpenVINO, by pairs that its low-precision transformations fuse',
  activations: UINT8,
  looksUpByLength: false,
  narrow,
  place: placeBytePairs(true),
  finish: (model) => lowerModel(model, { opset: 17 }),
  operators,
  lint: async (model, { version }) => lintByTable(model, operators, 'openvino', version),
};

function narrow(entry: PlanEntry): PlanEntry | string {
  const { mode, path, weight, quantizable } = entry;
  if (mode === 'dynamic') return 'pairs have ranges that are known before a run';
  if (weight && weight.scheme.bits !== 8)
    throw new UsageError(
      `${path} has weights of ${weight.scheme.bits} bits in the recipe, and pairs of this target have 8; use 8 bits.`,
    );
  if (quantizable.form === 'integer-values') return `OpenVINO has no operator for ${entry.operator} of integers`;
  if (mode === 'weight-only') return entry;
  return { ...entry, activations: entry.activations.filter(({ side }) => side === 'input') };
}
