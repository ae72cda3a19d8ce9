/** Gather of rows of a stored table [rows, channels]: an embedding. */
import { integerAttribute } from '../../onnx/attributes.ts';
import { type QuantizableOperator, storedWeight } from './operator.ts';

export const gather: QuantizableOperator = {
  name: 'Gather',
  domain: '',
  match(node, { index }) {
    const stored = storedWeight(node, index);
    const isTable = stored?.input === 0 && stored.tensor.dims.length === 2 && integerAttribute(node, 'axis', 0) === 0;
    if (!isTable) return undefined;
    return {
      form: 'lookup',
      // Every row has its own scale. Block-wise 4-bit scales would need a second lookup, so embeddings have 8 bits.
      weight: { ...stored, channelAxis: 0, bits: [8] },
      inputs: [],
      outputs: [],
      modes: ['weight-only'],
      isObservedByDefault: true,
    };
  },
};
