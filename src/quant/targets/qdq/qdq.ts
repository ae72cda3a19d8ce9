/**
 * Static INT8 in operators of the ONNX standard only: QuantizeLinear and DequantizeLinear around float nodes, with uint8
 * activations and int8 weights. Runtimes that recognise such pairs, OpenVINO among them, compute the nodes between them in
 * integers; every other runtime computes the same numbers in float.
 */
import type { PlanEntry } from '../../plan-entry.ts';
import { UINT8 } from '../../scheme.ts';
import { placeBytePairs } from '../byte-pairs.ts';
import type { QuantizationTarget } from '../target.ts';
import { lintPairs } from './lint-qdq.ts';

export const qdq: QuantizationTarget = {
  name: 'qdq',
  description: 'any runtime that reads QuantizeLinear and DequantizeLinear of version 21 and functions',
  activations: UINT8,
  looksUpByLength: false,
  narrow,
  place: placeBytePairs(false),
  finish: () => {},
  lint: async (model) => lintPairs(model),
};

function narrow(entry: PlanEntry): PlanEntry | string {
  if (entry.mode === 'dynamic') return 'pairs have ranges that are known before a run';
  if (entry.quantizable.form === 'integer-values')
    return `${entry.operator} of integers is not part of the ONNX standard`;
  return entry;
}
