/**
 * The numbers of a value that make a difference. An activation function that is constant beyond a point, such as HardSwish
 * below −3, gives the same for all numbers there, so the range of its input need not reach further: the steps of 8 bits are
 * finer where they count.
 */
import { findAttribute } from '../onnx/attributes.ts';
import type { GraphIndex } from '../onnx/graph-index.ts';
import { tensorElements } from '../onnx/tensor.ts';
import { DataType, type NodeProto } from '../onnx/types.ts';
import type { Histogram } from './observe/histogram.ts';
import { binOf } from './observe/histogram.ts';
import { fromSteps, type Statistic, toSteps } from './observe/statistic.ts';
import type { Range } from './scheme.ts';

/**
 * Returns the range of a value that makes a difference: clamping the value to it changes no result of the nodes that read it.
 * A side without a limit is infinite. Undefined if both sides are, or if the value is an output of the model.
 */
export function usefulRange(value: string, index: GraphIndex): Range | undefined {
  const users = index.consumers.get(value) ?? [];
  if (users.length === 0 || index.outputs.has(value)) return undefined;
  const ranges = users.map((user) => rangeOfInput(user, value, index));
  const min = Math.min(...ranges.map((range) => range?.min ?? Number.NEGATIVE_INFINITY));
  const max = Math.max(...ranges.map((range) => range?.max ?? Number.POSITIVE_INFINITY));
  return Number.isFinite(min) || Number.isFinite(max) ? { min, max } : undefined;
}

/** Returns the range outside of which a node does not depend on its first input; undefined if there is none. */
function rangeOfInput(node: NodeProto, value: string, index: GraphIndex): Range | undefined {
  if (node.domain !== '' || node.input[0] !== value || node.input.lastIndexOf(value) > 0) return undefined;
  switch (node.opType) {
    case 'Relu':
      return { min: 0, max: Number.POSITIVE_INFINITY };
    case 'HardSwish':
      return { min: -3, max: Number.POSITIVE_INFINITY };
    case 'HardSigmoid': {
      const alpha = findAttribute(node, 'alpha')?.f ?? 0.2;
      const beta = findAttribute(node, 'beta')?.f ?? 0.5;
      return alpha > 0 ? { min: -beta / alpha, max: (1 - beta) / alpha } : undefined;
    }
    case 'Clip':
      return {
        min: limitOf(node.input[1], Number.NEGATIVE_INFINITY, index),
        max: limitOf(node.input[2], Number.POSITIVE_INFINITY, index),
      };
    default:
      return undefined;
  }
}

/** The number that a stored limit holds; `unlimited` if there is none or it is computed. */
function limitOf(name: string | undefined, unlimited: number, { initializer }: GraphIndex): number {
  const tensor = initializer.get(name ?? '');
  return tensor?.dataType === DataType.FLOAT ? Number(tensorElements(tensor)[0]) : unlimited;
}

/** Returns the statistic of the numbers within `useful`. Those outside are left out: clamping them is no error. */
export function withinUseful(statistic: Statistic, useful: Range): Statistic {
  const clamp = (value: number) => Math.min(Math.max(value, useful.min), useful.max);
  return {
    ...statistic,
    min: clamp(statistic.min),
    max: clamp(statistic.max),
    movingMin: toSteps(clamp(fromSteps(statistic.movingMin))),
    movingMax: toSteps(clamp(fromSteps(statistic.movingMax))),
    histogram: binsWithin(statistic.histogram, useful),
  };
}

/** The histogram without the bins that are wholly outside of a range. */
function binsWithin({ exponent, counts }: Histogram, { min, max }: Range): Histogram {
  const kept = counts.slice();
  if (Number.isFinite(min)) kept.fill(0, 0, Math.max(binOf(min, exponent), 0));
  if (Number.isFinite(max)) kept.fill(0, Math.max(binOf(max, exponent) + 1, 0));
  return { exponent, counts: kept };
}
