/** Add of two activations with the same known number of channels: a residual sum. */
import type { GraphIndex } from '../../onnx/graph-index.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { channelsOf } from './feature-map.ts';
import type { QuantizableOperator } from './operator.ts';

export const add: QuantizableOperator = {
  name: 'Add',
  domain: '',
  match(node, graph) {
    const [a = '', b = ''] = node.input;
    const { index } = graph;
    if (index.initializer.has(a) || index.initializer.has(b)) return undefined;
    const channels = channelsOf(a, graph);
    if (channels === undefined || channels !== channelsOf(b, graph) || isScore(node, index)) return undefined;
    return {
      form: 'pairs',
      inputs: [0, 1],
      outputs: [0],
      modes: ['static'],
      mustBeNamed: true,
      isResidual: true,
      isObservedByDefault: false,
    };
  },
};

/** True for sums that are no residuals: a mask added to the scores of an attention, or a change of a box as a logit. */
function isScore(node: NodeProto, index: GraphIndex): boolean {
  return (index.consumers.get(node.output[0] ?? '') ?? []).some(
    (next) => ['Softmax', 'Sigmoid'].includes(next.opType) || (next.opType === 'Reshape' && isScore(next, index)),
  );
}
