/**
 * Balances queries and keys before their product: q_c k_c stays the same if a channel of one is divided by s and that of the
 * other is multiplied by s. With s = √(‖q_c‖ / ‖k_c‖), from the norms of the weights' columns, no channel of either
 * dominates the range.
 */
import { type GraphIndex, indexGraph } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { modulePath } from '../../onnx/rewrite.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { matchesPath } from '../match-path.ts';
import { sourceOf } from '../observe/same-values.ts';
import { countUses, Rescaling } from './rescale.ts';

interface Projection {
  readonly weight: string;
  readonly bias: string;
}

interface Attention {
  readonly query: Projection;
  readonly key: Projection;
}

/** The products of queries and keys whose projections are used for nothing else. */
function findAttentions(model: Model, match: readonly string[]): Attention[] {
  const index = indexGraph(model.graph);
  const uses = countUses(model);
  return model.graph.node.flatMap((node) => {
    if (node.opType !== 'MatMul' || !match.some((pattern) => matchesPath(pattern, modulePath(node)))) return [];
    const [query, key] = node.input.map((name) => projectionOf(name, index));
    if (!query || !key) return [];
    const width = ({ weight }: Projection) => index.initializer.get(weight)?.dims[1];
    const isOwn = [query, key].every(({ weight, bias }) => uses.get(weight) === 1 && uses.get(bias) === 1);
    return isOwn && width(query) === width(key) ? [{ query, key }] : [];
  });
}

/** The layer that computes a value, which may be cut into heads and multiplied by a number after it. */
function projectionOf(value: string, index: GraphIndex): Projection | undefined {
  const { producer, initializer, consumers } = index;
  const isScalar = (name: string) => initializer.get(name)?.dims.length === 0;
  let node: NodeProto | undefined = producer.get(sourceOf(value, index));
  if (node?.opType === 'Mul' && node.input.some(isScalar))
    node = producer.get(sourceOf(node.input.find((name) => !isScalar(name)) ?? '', index));
  if (node?.opType !== 'Add' || consumers.get(node.output[0] ?? '')?.length !== 1) return undefined;
  const bias = node.input.find((name) => initializer.get(name)?.dims.length === 1);
  const product = producer.get(node.input.find((name) => name !== bias) ?? '');
  const weight = product?.opType === 'MatMul' ? product.input[1] : undefined;
  if (bias === undefined || weight === undefined || initializer.get(weight)?.dims.length !== 2) return undefined;
  // Several projections in one product are split after it: their channels are not those of the heads alone.
  return consumers.get(node.output[0] ?? '')?.[0]?.opType === 'Reshape' ? { weight, bias } : undefined;
}

/**
 * Changes weights and biases of `model`.
 *
 * @param match patterns of the module paths of attentions
 * @param prefix the beginning of new names
 */
export async function balanceQueries(model: Model, match: readonly string[], prefix = 'dino8.balance'): Promise<void> {
  const rescaling = new Rescaling(prefix);
  const { emit } = rescaling;
  for (const { query, key } of findAttentions(model, match)) {
    const norm = ({ weight }: Projection) => emit('Max', [emit('ReduceL2', [weight, [0]], { keepdims: 0 }), 1e-8]);
    const factor = emit('Sqrt', [emit('Div', [norm(query), norm(key)])]);
    for (const [{ weight, bias }, operator] of [
      [query, 'Div'],
      [key, 'Mul'],
    ] as const) {
      rescaling.scale(weight, operator, factor, [1, -1]);
      rescaling.scale(bias, operator, factor, [-1]);
    }
  }
  await rescaling.apply(model);
}
