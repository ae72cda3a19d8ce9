/**
 * Bias correction (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.2): rounding weights shifts a layer's
 * results on average by E[x] (Ŵ − W), which is taken off its bias.
 */
import { makeTensor } from '../../onnx/tensor.ts';
import { fromSteps, type Statistic } from '../observe/statistic.ts';
import type { Bias } from '../placement/bias.ts';
import { matchesPath, type Recipe } from '../recipe.ts';
import type { Assignment } from '../targets.ts';
import { type Additions, emitter, quantizeWeight } from '../weights.ts';

/** Tells of a layer whether the recipe corrects its bias. */
export function correctsBias({ techniques }: Recipe): (assignment: Assignment) => boolean {
  const patterns = techniques.flatMap(({ technique, match }) => (technique === 'correct-bias' ? match : []));
  return ({ path, node }) => node.opType === 'MatMul' && patterns.some((pattern) => matchesPath(pattern, path));
}

/** The corrected bias; the same where the means of the layer's inputs are not known. */
export function correctBias(target: Assignment, bias: Bias, statistic: Statistic, added: Additions): Bias {
  const { channels, images } = statistic;
  const inputs = Number(target.weight.dims[0]);
  if (channels === undefined || channels === 'varying' || channels.mean.length !== inputs) return bias;
  const { dequantized } = quantizeWeight(target.weight, target.channelAxis, added, target.weights);
  const name = `${target.node.name}.mean`;
  added.tensors.push(
    makeTensor(
      name,
      [1, inputs],
      Float32Array.from(channels.mean, (sum) => fromSteps(sum) / images),
    ),
  );
  const emit = emitter(`${target.node.name}.correct_bias`, added);
  const shift = emit('MatMul', [name, emit('Sub', [dequantized, target.weight.name])]);
  return { node: bias.node, values: emit('Sub', [bias.values, emit('Reshape', [shift, [-1]])]) };
}
