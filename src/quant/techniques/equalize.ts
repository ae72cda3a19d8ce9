/**
 * Cross-layer equalization (Nagel et al. 2019, https://arxiv.org/abs/1906.04721, section 4.1): between two layers with a
 * ReLU between them every channel may be scaled, since ReLU(s x) = s ReLU(x) for s > 0. With s = √(r₁ / r₂), r being the
 * largest weights of the channel on both sides, both layers have the same ranges.
 */
import { type GraphIndex, indexGraph, isReadOnce } from '../../onnx/graph-index.ts';
import type { Model } from '../../onnx/read.ts';
import { modulePath } from '../../onnx/rewrite.ts';
import type { NodeProto } from '../../onnx/types.ts';
import { matchesPath } from '../match-path.ts';
import { sourceOf } from '../observe/same-values.ts';
import { countUses, Rescaling } from './rescale.ts';

/** Two layers with a ReLU between them, and no other use of the values between them. */
interface Pair {
  readonly weight: string;
  readonly bias: string;
  readonly next: string;
  /** The number of products in which both occur together. */
  count: number;
}

/** The pairs of layers whose second layer has a module path that one of the patterns matches. */
function findPairs(model: Model, match: readonly string[]): Pair[] {
  const index = indexGraph(model.graph);
  const uses = countUses(model);
  const pairs = new Map<string, Pair>();
  for (const node of model.graph.node) {
    if (node.opType !== 'MatMul' || !match.some((pattern) => matchesPath(pattern, modulePath(node)))) continue;
    const found = pairBefore(node, index);
    if (!found) continue;
    const key = `${found.weight}\n${found.next}`;
    const known = pairs.get(key);
    if (known) known.count++;
    else pairs.set(key, { ...found, count: 1 });
  }
  // A weight that is also used elsewhere would have to be scaled in two ways.
  return [...pairs.values()].filter(({ weight, bias, next, count }) =>
    [weight, bias, next].every((name) => uses.get(name) === count),
  );
}

function pairBefore(node: NodeProto, index: GraphIndex): Omit<Pair, 'count'> | undefined {
  const [activation = '', next = ''] = node.input;
  if (index.initializer.get(next)?.dims.length !== 2) return undefined;
  const relu = index.producer.get(sourceOf(activation, index));
  const addition = relu?.opType === 'Relu' ? index.producer.get(relu.input[0] ?? '') : undefined;
  if (
    !relu ||
    addition?.opType !== 'Add' ||
    !isReadOnce(relu.output[0] ?? '', index) ||
    !isReadOnce(addition.output[0] ?? '', index)
  )
    return undefined;
  const bias = addition.input.find((name) => index.initializer.get(name)?.dims.length === 1);
  const product = index.producer.get(addition.input.find((name) => name !== bias) ?? '');
  const weight = product?.opType === 'MatMul' ? product.input[1] : undefined;
  if (bias === undefined || weight === undefined || index.initializer.get(weight)?.dims.length !== 2) return undefined;
  return product && isReadOnce(product.output[0] ?? '', index) ? { weight, bias, next } : undefined;
}

/**
 * Changes weights and biases of `model`.
 *
 * @param match patterns of the module paths of the second layers
 * @param prefix the beginning of new names
 */
export async function equalize(model: Model, match: readonly string[], prefix = 'dino8.equalize'): Promise<void> {
  const rescaling = new Rescaling(prefix);
  const { emit } = rescaling;
  for (const { weight, bias, next } of findPairs(model, match)) {
    // In a chain of three layers, the middle one is in two pairs: it is scaled with the first.
    if ([weight, bias, next].some((name) => rescaling.has(name))) continue;
    const largest = (name: string, axis: number) =>
      emit('Max', [emit('ReduceMax', [emit('Abs', [name]), [axis]], { keepdims: 0 }), 1e-8]);
    const factor = emit('Sqrt', [emit('Div', [largest(weight, 0), largest(next, 1)])]);
    rescaling.scale(weight, 'Div', factor, [1, -1]);
    rescaling.scale(bias, 'Div', factor, [-1]);
    rescaling.scale(next, 'Mul', factor, [-1, 1]);
  }
  await rescaling.apply(model);
}
