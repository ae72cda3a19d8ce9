/** Gemm with a stored weight as its second operand: a linear layer with its bias. */
import { integerAttribute } from '../../onnx/attributes.ts';
import { type QuantizableOperator, storedWeight } from './operator.ts';

export const gemm: QuantizableOperator = {
  name: 'Gemm',
  domain: '',
  match(node, { index }) {
    const stored = storedWeight(node, index);
    if (stored?.input !== 1) return undefined;
    return {
      form: 'pairs',
      weight: { ...stored, channelAxis: integerAttribute(node, 'transB', 0) ? 0 : 1, bits: [8, 4] },
      inputs: [0],
      outputs: [],
      modes: ['static', 'weight-only'],
      isObservedByDefault: true,
    };
  },
};
