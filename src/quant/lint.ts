/** What ONNX Runtime made of a quantized model: which quantized places did not become integer operators, and their cost. */

import { type GraphIndex, indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';
import { sourceOf } from './observe/same-values.ts';

/** A conversion that runs on its own. */
export interface Unfused {
  readonly node: string;
  readonly operator: string;
  /**
   * - `pair`: a Q/DQ pair, or an integer product, that was not fused with what is behind it: a defect of the placement
   * - `stored`: a weight kept as integers on purpose, and turned into float at each run
   * - `result`: what an integer convolution or sum gives, which ONNX Runtime has in 8 bits only, for what follows in float
   */
  readonly kind: 'pair' | 'stored' | 'result';
  readonly seconds: number;
}

export interface LintResult {
  /** The dearest first. */
  readonly unfused: readonly Unfused[];
  /** How many products run as integers. */
  readonly integerProducts: number;
  /** Of all nodes of the run. */
  readonly seconds: number;
}

/** The integer operators of ONNX Runtime that end in float or in 8 bits by themselves. */
const INTEGER_PRODUCTS = new Set([
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QLinearMatMul',
  'QLinearConv',
  'QGemm',
]);

/** Runs the model once after a run to warm up, and reads ONNX Runtime's profile. @throws RuntimeError if it does not run */
export async function lintModel(model: Model, feeds: Feeds, options: SessionOptions = {}): Promise<LintResult> {
  const index = indexGraph(model.graph);
  const inputs = new Map(model.graph.node.map((node) => [node.name, node.input[0] ?? '']));
  const kindOf = (name: string, operator: string): Unfused['kind'] => {
    if (operator !== 'DequantizeLinear') return 'pair';
    if (index.initializer.has(inputs.get(name) ?? '')) return 'stored';
    return isResult(name, index) ? 'result' : 'pair';
  };
  const profile = await profileRun(modelBytes(model), options, feeds);
  const unfused = profile
    .filter(({ operator }) => ['DequantizeLinear', 'MatMulInteger', 'ConvInteger'].includes(operator))
    .map(({ name, operator, seconds }): Unfused => ({ node: name, operator, kind: kindOf(name, operator), seconds }));
  return {
    unfused: unfused.toSorted((a, b) => b.seconds - a.seconds),
    integerProducts: profile.filter(({ operator }) => INTEGER_PRODUCTS.has(operator)).length,
    seconds: profile.reduce((sum, node) => sum + node.seconds, 0),
  };
}

const INTEGER_IN_INTEGER_OUT = new Set(['Conv', 'Add']);

/**
 * True for the DequantizeLinear behind an operator that is integer only if its result is. ONNX Runtime copies such nodes
 * (`/duplicated`) and moves them past reshapes (`VALUE_dq`): what they convert is found by their names.
 */
function isResult(name: string, index: GraphIndex): boolean {
  const { producer } = index;
  const own = [...producer.values()].find((node) => node.name === name.replace(/\/duplicated(_token_\d+)?$/, ''));
  const value = own?.output[0] ?? name.replace(/_dq.*$/, '');
  const dequantize = producer.get(sourceOf(value, index));
  const quantize = producer.get(dequantize?.input[0] ?? '');
  const operator = producer.get(quantize?.input[0] ?? '');
  const isInteger = producer.get(operator?.input[0] ?? '')?.opType === 'DequantizeLinear';
  return quantize?.opType === 'QuantizeLinear' && isInteger && INTEGER_IN_INTEGER_OUT.has(operator?.opType ?? '');
}
