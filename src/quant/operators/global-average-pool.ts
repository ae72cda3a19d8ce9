/** GlobalAveragePool: the mean of each channel, as squeeze-and-excitation blocks and classifiers take it. */
import { channelsOf } from './feature-map.ts';
import type { QuantizableOperator } from './operator.ts';

export const globalAveragePool: QuantizableOperator = {
  name: 'GlobalAveragePool',
  domain: '',
  match(node, graph) {
    if (channelsOf(node.input[0] ?? '', graph) === undefined) return undefined;
    return {
      form: 'pairs',
      inputs: [0],
      outputs: [0],
      modes: ['static'],
      mustBeNamed: true,
      isObservedByDefault: false,
    };
  },
};
