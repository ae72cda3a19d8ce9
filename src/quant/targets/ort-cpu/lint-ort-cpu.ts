/** Finds, in the profile of a run, the quantized places that ONNX Runtime does not compute in integers, and their cost. */

import { checkModelArgument } from '../../../onnx/check-model.ts';
import { type GraphIndex, indexGraph } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { modelBytes } from '../../../onnx/write.ts';
import type { SessionOptions } from '../../../runtime/options.ts';
import { profileRun } from '../../../runtime/profile.ts';
import type { Feeds } from '../../../runtime/session.ts';
import { sourceOf } from '../../observe/same-values.ts';
import type { LintOptions, LintReport } from '../target.ts';
import { isOfGroupNorm } from './group-norm-function.ts';
import { productsOf } from './linear-function.ts';
import { isOfRoundedSum } from './residual-sum.ts';

/** A conversion between integers and floats that runs as a node of its own. */
export interface Unfused {
  /** The name of the node. */
  readonly node: string;
  /** The type of its operator. */
  readonly operator: string;
  /**
   * - `pair`: a Q/DQ pair, or an integer product, that was not fused with the nodes after it: a defect of the placement
   * - `stored`: a weight that is stored as integers on purpose, and converted to float at each run
   * - `result`: the result of an integer convolution or sum, which ONNX Runtime has in 8 bits only, for a float node after it
   */
  readonly kind: 'pair' | 'stored' | 'result';
  /** The time of the node in a run. */
  readonly seconds: number;
}

/** The findings in the profile of a quantized model. */
export interface LintResult {
  /** The most expensive first. */
  readonly unfused: readonly Unfused[];
  /** The number of products that run as integers. */
  readonly integerProducts: number;
  /** The time of all nodes of the run. */
  readonly seconds: number;
}

/** Operators of ONNX Runtime that multiply integers and give float or 8-bit results without further nodes. */
const INTEGER_PRODUCTS = new Set([
  'DynamicQuantizeMatMul',
  'MatMulIntegerToFloat',
  'QLinearMatMul',
  'QLinearConv',
  'QGemm',
]);

/**
 * Runs the model once after a run to warm up, and reads ONNX Runtime's profile.
 *
 * @param feeds the inputs of the model, by name
 * @returns the findings, with times in seconds
 * @throws RuntimeError if the model does not run
 * @example
 * const { unfused } = await lintModel(model, feeds);
 */
export async function lintModel(model: Model, feeds: Feeds, options: SessionOptions = {}): Promise<LintResult> {
  checkModelArgument(model);
  const index = indexGraph(model.graph);
  const inputs = new Map(model.graph.node.map((node) => [node.name, node.input[0] ?? '']));
  const kindOf = (name: string, operator: string): Unfused['kind'] => {
    if (operator !== 'DequantizeLinear') return 'pair';
    if (index.initializer.has(inputs.get(name) ?? '')) return 'stored';
    return isOfRoundedSum(name) || isOfGroupNorm(name) || isResult(name, index) ? 'result' : 'pair';
  };
  const profile = await profileRun(modelBytes(model), options, feeds);
  const unfused = profile
    .filter(({ operator }) => ['DequantizeLinear', 'MatMulInteger', 'ConvInteger'].includes(operator))
    .map(({ name, operator, seconds }): Unfused => ({ node: name, operator, kind: kindOf(name, operator), seconds }));
  return {
    unfused: unfused.toSorted((a, b) => b.seconds - a.seconds),
    integerProducts: profile.reduce(
      (sum, { operator }) => sum + (INTEGER_PRODUCTS.has(operator) ? 1 : productsOf(operator)),
      0,
    ),
    seconds: profile.reduce((sum, node) => sum + node.seconds, 0),
  };
}

const PROBLEMS: Readonly<Record<Unfused['kind'], string>> = {
  pair: 'pair that is not fused',
  stored: 'weight that is stored as integers',
  result: 'result of an integer operator',
};

/** The findings of `lintModel` as a report. */
export async function lintForOrtCpu(model: Model, { feeds, session }: LintOptions): Promise<LintReport> {
  const { unfused, integerProducts, seconds } = await lintModel(model, feeds(), session);
  const count = (wanted: Unfused['kind']) => unfused.filter(({ kind }) => kind === wanted).length;
  return {
    findings: unfused.map(({ kind, ...rest }) => ({ ...rest, problem: PROBLEMS[kind], isDefect: kind === 'pair' })),
    summary: `${integerProducts} products run as integers; ${count('pair')} pairs are not fused; ${count('stored')} weights are stored as integers and computed with in float; ${count('result')} results of integer operators become float.`,
    advice: 'make those layers float in the recipe',
    seconds,
  };
}

/** Operators that ONNX Runtime computes in integers only if their result is quantized. */
const INTEGER_IN_INTEGER_OUT = new Set(['Conv', 'Add', 'Mul', 'GlobalAveragePool']);

/**
 * True for the DequantizeLinear after an operator that is integer only if its result is. ONNX Runtime copies such nodes
 * (`/duplicated`) and moves them past reshapes (`VALUE_dq`), so the value that they convert is found by their names.
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
