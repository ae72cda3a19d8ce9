/** Mul of two activations: the gates of a squeeze-and-excitation block, and x · sigmoid(x). */
import { channelsOf } from './feature-map.ts';
import type { QuantizableOperator } from './operator.ts';

export const mul: QuantizableOperator = {
  name: 'Mul',
  domain: '',
  match(node, graph) {
    const [a = '', b = ''] = node.input;
    const { initializer } = graph.index;
    if (initializer.has(a) || initializer.has(b)) return undefined;
    // A gate [batch, channels, 1, 1] has other dimensions than the features that it multiplies.
    if (channelsOf(a, graph) === undefined || channelsOf(b, graph) === undefined) return undefined;
    return {
      form: 'pairs',
      inputs: [0, 1],
      // ONNX Runtime computes a product in integers only if its result is quantized as well.
      outputs: [0],
      modes: ['static'],
      mustBeNamed: true,
      isObservedByDefault: false,
    };
  },
};
