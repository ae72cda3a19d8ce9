/** MatMul: a linear layer, a product with a stored stack of matrices, or a product of two activations as in attention. */
import type { NodeProto } from '../../onnx/types.ts';
import { type GraphFacts, type QuantizableNode, type QuantizableOperator, storedWeight } from './operator.ts';

/** The rank of [batch, heads, positions, size]: products of this rank are within the heads of an attention. */
const HEADS_RANK = 4;

export const matmul: QuantizableOperator = {
  name: 'MatMul',
  domain: '',
  match(node, graph) {
    const stored = storedWeight(node, graph.index);
    if (!stored) return productOfActivations(node, graph);
    const rank = stored.tensor.dims.length;
    const isLayer = rank === 2 && stored.input === 1;
    return {
      form: 'weighted-product',
      weight: { ...stored, channelAxis: rank - 1, bits: [8, 4] },
      inputs: [1 - stored.input],
      outputs: [],
      // Stacks of matrices multiply small values; integer kernels would gain no time there.
      modes: isLayer ? ['dynamic', 'static', 'weight-only'] : ['weight-only'],
      isObservedByDefault: true,
    };
  },
};

function productOfActivations(node: NodeProto, { index, infos }: GraphFacts): QuantizableNode | undefined {
  const [a = '', b = ''] = node.input;
  if (index.initializer.has(a) || index.initializer.has(b)) return undefined;
  return {
    form: 'activation-product',
    inputs: [0, 1],
    outputs: [],
    modes: ['dynamic', 'static'],
    isObservedByDefault: (infos.get(a)?.shape?.length ?? HEADS_RANK) < HEADS_RANK,
  };
}
