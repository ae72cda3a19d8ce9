/** Conv with a stored weight [channels, inputs / groups, ...kernel]. */
import { type QuantizableOperator, storedWeight } from './operator.ts';

export const conv: QuantizableOperator = {
  name: 'Conv',
  domain: '',
  match(node, { index }) {
    const stored = storedWeight(node, index);
    if (stored?.input !== 1) return undefined;
    return {
      form: 'pairs',
      weight: { ...stored, channelAxis: 0, bits: [8, 4] },
      inputs: [0],
      // ONNX Runtime computes a convolution in integers only if its result is quantized as well.
      outputs: [0],
      modes: ['static', 'weight-only'],
      isObservedByDefault: true,
    };
  },
};
