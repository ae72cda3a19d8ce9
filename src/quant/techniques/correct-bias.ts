/**
 * Bias correction (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2): rounding the weights W to Ŵ shifts the
 * results of a layer on average by E[x] (Ŵ − W), which is subtracted from its bias.
 */
import { InputError } from '../../base/errors.ts';
import { integersAttribute } from '../../onnx/attributes.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import type { Bias } from '../bias.ts';
import { matchesPath } from '../match-path.ts';
import { fromSteps } from '../observe/statistic.ts';
import type { GraphFacts } from '../operators/operator.ts';
import type { PlanEntry } from '../plan-entry.ts';
import type { Recipe } from '../recipe.ts';
import { type Additions, emitter, quantizeWeight } from '../weights.ts';

/** True if the recipe corrects the bias of the entry's layer: a quantized matrix product with a stored weight. */
export function correctsBias({ techniques }: Recipe, { path, mode, quantizable }: PlanEntry): boolean {
  const patterns = techniques.flatMap(({ technique, match }) => (technique === 'correct-bias' ? match : []));
  const isLayer = quantizable.form === 'weighted-product' && quantizable.weight?.tensor.dims.length === 2;
  return isLayer && mode !== 'float' && patterns.some((pattern) => matchesPath(pattern, path));
}

/**
 * The value that `name` is an arrangement of with the same channels in its last dimension, so that the mean by channel is the
 * same. Parts of a value, and values whose channels were moved, have means of their own.
 */
export function channelSource(name: string, { index, infos }: GraphFacts): string {
  const channels = (value: string) => infos.get(value)?.shape?.at(-1);
  let current = name;
  for (let node = index.producer.get(current); node; node = index.producer.get(current)) {
    const [moved = ''] = node.input;
    const perm = integersAttribute(node, 'perm');
    const keepsLast = ['Reshape', 'Squeeze', 'Unsqueeze', 'Flatten', 'Identity'].includes(node.opType)
      ? typeof channels(moved) === 'number' && channels(moved) === channels(current)
      : node.opType === 'Transpose' && perm !== undefined && perm.at(-1) === perm.length - 1;
    if (node.domain !== '' || !keepsLast || index.initializer.has(moved)) break;
    current = moved;
  }
  return current;
}

/**
 * Adds the nodes that compute the corrected bias of the entry's layer.
 *
 * @throws InputError if the mean of the layer's input is not known by channel
 */
export function correctBias({ node, weight, correction }: PlanEntry, bias: Bias, added: Additions): Bias {
  const statistic = correction?.statistic;
  if (!weight || !correction || !statistic) return bias;
  const inputs = Number(weight.weight.dims[0]);
  const { channels, images } = statistic;
  if (channels === undefined || channels === 'varying' || channels.mean.length !== inputs)
    throw new InputError(
      `The bias of ${node.name} cannot be corrected, since the statistic of ${correction.value} has no mean for each of the ${inputs} channels of the layer; leave the layer out of correct-bias.`,
    );
  const { dequantized } = quantizeWeight(weight, added);
  const name = `${node.name}.mean`;
  added.tensors.push(
    makeTensor(
      name,
      [1, inputs],
      Float32Array.from(channels.mean, (sum) => fromSteps(sum) / images),
    ),
  );
  const emit = emitter(`${node.name}.correct_bias`, added);
  const shift = emit('MatMul', [name, emit('Sub', [dequantized, weight.weight.name])]);
  return { node: bias.node, values: emit('Sub', [bias.values, emit('Reshape', [shift, [-1]])]) };
}
