/** What ONNX Runtime made of a quantized model: which quantized places did not become integer operators, and their cost. */

import { indexGraph } from '../onnx/graph-index.ts';
import type { Model } from '../onnx/read.ts';
import { modelBytes } from '../onnx/write.ts';
import type { SessionOptions } from '../runtime/options.ts';
import { profileRun } from '../runtime/profile.ts';
import type { Feeds } from '../runtime/session.ts';

/** A conversion that runs on its own. */
export interface Unfused {
  readonly node: string;
  readonly operator: string;
  /**
   * - `pair`: a Q/DQ pair, or an integer product, that was not fused with what is behind it: a defect of the placement
   * - `stored`: a weight kept as integers on purpose, and turned into float at each run
   */
  readonly kind: 'pair' | 'stored';
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
  const { initializer } = indexGraph(model.graph);
  const inputs = new Map(model.graph.node.map((node) => [node.name, node.input[0] ?? '']));
  const profile = await profileRun(modelBytes(model), options, feeds);
  const unfused = profile
    .filter(({ operator }) => ['DequantizeLinear', 'MatMulInteger', 'ConvInteger'].includes(operator))
    .map(({ name, operator, seconds }): Unfused => {
      const isStored = operator === 'DequantizeLinear' && initializer.has(inputs.get(name) ?? '');
      return { node: name, operator, kind: isStored ? 'stored' : 'pair', seconds };
    });
  return {
    unfused: unfused.toSorted((a, b) => b.seconds - a.seconds),
    integerProducts: profile.filter(({ operator }) => INTEGER_PRODUCTS.has(operator)).length,
    seconds: profile.reduce((sum, node) => sum + node.seconds, 0),
  };
}
