/**
 * SmoothQuant (Xiao et al. 2022, https://arxiv.org/abs/2211.10438): channels with large values after a layer normalisation
 * are divided by s, and the rows of the weights after it are multiplied by s = max|x|^α / max|w|^(1 − α).
 */
import { append } from '../../base/append.ts';
import { InputError } from '../../base/errors.ts';
import { integersAttribute } from '../../onnx/attributes.ts';
import { type GraphIndex, indexGraph } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { modulePath } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { matchesPath } from '../match-path.ts';
import type { Statistics } from '../observe/calibrate.ts';
import { requireStatistics } from '../require-statistics.ts';
import { countUses, isMove, Rescaling } from './rescale.ts';

/** A normalisation of which all users are products with weights. */
interface Smoothable {
  readonly node: NodeProto;
  readonly output: string;
  readonly weights: readonly string[];
}

/** The normalisations whose module paths match, and whose results are used by products with weights only. */
export function findSmoothable(model: Model, match: readonly string[]): Smoothable[] {
  const index = indexGraph(model.graph);
  const uses = countUses(model);
  return model.graph.node.flatMap((node) => {
    if (node.opType !== 'LayerNormalization' || !match.some((pattern) => matchesPath(pattern, modulePath(node))))
      return [];
    const [, scale = '', bias = ''] = node.input;
    const [output = ''] = node.output;
    if (uses.get(scale) !== 1 || uses.get(bias) !== 1) return [];
    const weights = weightsBehind(output, Number(index.initializer.get(scale)?.dims[0]), index);
    const isOwn = weights?.every((name) => countOf(weights, name) === uses.get(name));
    return weights && weights.length > 0 && isOwn ? [{ node, output, weights: [...new Set(weights)] }] : [];
  });
}

const countOf = (names: readonly string[], wanted: string) => names.filter((name) => name === wanted).length;

/** The weights that the value is multiplied by, one for each product; undefined if it has other uses too. */
function weightsBehind(value: string, channels: number, index: GraphIndex): string[] | undefined {
  if (index.outputs.has(value)) return undefined;
  const found: string[] = [];
  for (const node of index.consumers.get(value) ?? []) {
    const [a, b = ''] = node.input;
    const weight = index.initializer.get(b);
    if (node.opType === 'MatMul' && a === value && weight?.dims.length === 2 && Number(weight.dims[0]) === channels) {
      found.push(b);
      continue;
    }
    if (!keepsChannels(node, value)) return undefined;
    for (const output of node.output) {
      const behind = weightsBehind(output, channels, index);
      if (!behind) return undefined;
      // A value that is cut and joined again is found along each of its parts.
      append(found, node.opType === 'Concat' && node.input.indexOf(value) > 0 ? [] : behind);
    }
  }
  return found;
}

/** True for a node that moves the value, its first input or one that it concatenates, but keeps the last axis. */
function keepsChannels(node: NodeProto, value: string): boolean {
  const perm = integersAttribute(node, 'perm');
  const isMoved = node.opType === 'Concat' || node.input[0] === value;
  return isMove(node) && isMoved && (!perm || perm.at(-1) === perm.length - 1);
}

/**
 * Changes weights and biases of `model`.
 *
 * @param match patterns of the module paths of normalisations
 * @param alpha how much of the difficulty moves from activations to weights, 0 … 1
 * @param statistics of the results of the normalisations
 * @param prefix the beginning of new names
 * @throws InputError if statistics are missing
 */
export async function smooth(
  model: Model,
  match: readonly string[],
  alpha: number,
  statistics: Statistics,
  prefix = 'dino8.smooth',
): Promise<void> {
  const rescaling = new Rescaling(prefix);
  const { emit } = rescaling;
  const smoothable = findSmoothable(model, match);
  requireStatistics(
    smoothable.map(({ output }) => output),
    statistics,
    'The technique smooth',
  );
  for (const { node, output, weights } of smoothable) {
    const channels = statistics.get(output)?.channels;
    if (channels === undefined || channels === 'varying')
      throw new InputError(
        `The technique smooth needs the extremes of each channel of ${output}, whose last dimension varies from run to run; leave ${node.name} out of smooth.`,
      );
    const width = channels.max.length;
    const magnitudesName = `${output}.magnitudes`;
    const magnitudes = channels.max.map((max, channel) => Math.max(max, -(channels.min[channel] ?? 0), 1e-5));
    model.graph.initializer.push(makeTensor(magnitudesName, [width], magnitudes));
    const ofWeights = weights
      .map((name) => emit('ReduceMax', [emit('Abs', [name]), [1]], { keepdims: 0 }))
      .reduce((all, next) => emit('Max', [all, next]));
    const factor = emit('Div', [
      emit('Pow', [magnitudesName, alpha]),
      emit('Pow', [emit('Max', [ofWeights, 1e-5]), 1 - alpha]),
    ]);
    const [, scale = '', bias = ''] = node.input;
    rescaling.scale(scale, 'Div', factor, [-1]);
    rescaling.scale(bias, 'Div', factor, [-1]);
    for (const name of weights) rescaling.scale(name, 'Mul', factor, [-1, 1]);
  }
  await rescaling.apply(model);
}
