/** Multi-scale deformable attention, of which the values are read as bytes: a quarter of the memory traffic. */
import { DEFORMABLE_ATTENTION, DOMAIN } from '../../onnx/dino8-operators.ts';
import { DataType } from '../../onnx/types.ts';
import { inputPort, type QuantizableOperator } from './operator.ts';

const VALUES = 0;
/** The element type of the zero point is that of the values: float, or already 8-bit integers. */
const VALUE_ZERO_POINT = 2;
/** The offsets are not quantized here, but recipes clip them by their statistic. */
const SAMPLING_OFFSETS = 6;

export const deformableAttention: QuantizableOperator = {
  name: DEFORMABLE_ATTENTION,
  domain: DOMAIN,
  match(node, { infos }) {
    if (infos.get(node.input[VALUE_ZERO_POINT] ?? '')?.type !== DataType.FLOAT) return undefined;
    return {
      form: 'integer-values',
      inputs: [VALUES],
      outputs: [],
      modes: ['dynamic', 'static'],
      alsoObserved: [inputPort(SAMPLING_OFFSETS)],
      isObservedByDefault: true,
    };
  },
};
