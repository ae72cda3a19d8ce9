/** Rules of softmax and of normalisation by mean and variance. */
import { findAttribute, integerAttribute } from '../../onnx/attributes.ts';
import { layerNormalizationGradient } from '../functions/layer-normalization-gradient.ts';
import { softmaxGradient } from '../functions/softmax-gradient.ts';
import { inputAt, type Rule, rankOf, rule } from '../rule.ts';

const softmax: Rule = rule(({ b, node, gradient, y }) => {
  const rank = rankOf(y);
  const axis = integerAttribute(node, 'axis', -1);
  if (axis === -1 || axis === rank - 1) return [softmaxGradient(b, y, gradient)];
  return [b.mul(y, b.sub(gradient, b.reduceSum(b.mul(gradient, y), [axis])))];
});

const layerNormalization: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  const axis = integerAttribute(node, 'axis', -1);
  if (axis !== -1 && axis !== rankOf(x) - 1)
    throw new Error('only layer normalisation over the last axis has a gradient');
  const epsilon = findAttribute(node, 'epsilon')?.f ?? 1e-5;
  return layerNormalizationGradient(b, { x, scale: inputAt(context, 1), epsilon, gradient });
});

/** Each channel is normalised over the axes that follow it, and has a scale and a bias of its own. */
const instanceNormalization: Rule = rule((context) => {
  const { b, node, gradient, x } = context;
  const scale = inputAt(context, 1);
  const rank = rankOf(x);
  const axes = Array.from({ length: rank - 2 }, (_, index) => index + 2);
  const epsilon = findAttribute(node, 'epsilon')?.f ?? 1e-5;
  const centred = b.sub(x, b.reduceMean(x, axes));
  const deviation = b.sqrt(b.add(b.reduceMean(b.mul(centred, centred), axes), epsilon));
  const normed = b.div(centred, deviation);
  const scaled = b.mul(gradient, b.reshape(scale, [-1, ...axes.map(() => 1)]));
  const along = b.mul(normed, b.reduceMean(b.mul(scaled, normed), axes));
  return [
    b.div(b.sub(b.sub(scaled, b.reduceMean(scaled, axes)), along), deviation),
    b.reduceSum(b.mul(gradient, normed), [0, ...axes], false),
    b.reduceSum(gradient, [0, ...axes], false),
  ];
});

/** Rules by operator. */
export const normalizationRules: Record<string, Rule> = {
  Softmax: softmax,
  LayerNormalization: layerNormalization,
  InstanceNormalization: instanceNormalization,
};
