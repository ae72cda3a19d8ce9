/**
 * Stores the weights of a float model in 8 or 4 bits and computes in float, for runtimes that multiply floats by stored integers, as ONNX
 * Runtime's WebGPU provider does. Linear layers become `com.microsoft::MatMulNBits`; tables and all other weights keep 8 bits, by rows
 * that are looked up and by DequantizeLinear.
 */
import { append } from '../../base/append.ts';
import { checkOptions, listOf, type OptionSchemas, oneOfNumbers, text } from '../../base/check-options.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import type { Model } from '../../onnx/read.ts';
import { importDomain, makeNode, removeUnused } from '../../onnx/rewrite.ts';
import { dimensionsOf } from '../../onnx/tensor.ts';
import { elementCount, type NodeProto } from '../../onnx/types.ts';
import { foldConstants } from '../../runtime/fold-constants.ts';
import { checkWeights } from '../check-weights.ts';
import { matchesPath } from '../match-path.ts';
import { findQuantizable, type Quantizable } from '../operators/operators.ts';
import type { PlannedWeight } from '../plan-entry.ts';
import { DEFAULT_WEIGHT_SCHEME } from '../scheme.ts';
import { CONTRIB } from '../targets/ort-cpu/integer-product.ts';
import { storeAsIntegers } from '../targets/weight-only.ts';
import type { Additions } from '../weights.ts';
import { addBlockWeight, BLOCK, type BlockBits, type BlockWeight } from './block-weight.ts';

/** Options of `storeBlockWeights`. */
export interface BlockWeightOptions {
  /** The number of bits of the weights of linear layers. */
  readonly bits: BlockBits;
  /** Patterns of the module paths of linear layers that keep 8 bits. */
  readonly eightBits: readonly string[];
}

const optionSchemas: OptionSchemas<BlockWeightOptions> = {
  bits: oneOfNumbers(8, 4),
  eightBits: listOf('a list of patterns of module paths', text),
};

/** Smaller weights stay as they are: all of them together are a small part of a file. */
const LEAST_ELEMENTS = 2048;

/** The operator that multiplies by weights in blocks. */
export const BLOCK_PRODUCT = 'MatMulNBits';

/**
 * Stores the weights of a float model in 8 or 4 bits.
 *
 * @param model is changed; it must have version 18 or later of the operators
 * @returns the number of nodes whose weights are stored as integers
 * @throws InputError if a weight has values that are not finite
 * @example
 * const count = await storeBlockWeights(model, { bits: 4, eightBits: ['**.bbox_embed.**'] });
 */
export async function storeBlockWeights(model: Model, options: BlockWeightOptions): Promise<number> {
  checkModelArgument(model);
  checkOptions('storeBlockWeights', optionSchemas, options);
  const { graph } = model;
  const stored = findQuantizable(model).flatMap((quantizable) => withWeight(quantizable));
  await checkWeights(stored);
  const added: Additions = { nodes: [], tensors: [], weights: new Map(), rounded: new Map() };
  const blocks = new Map<string, BlockWeight>();
  const byNode = new Map(stored.map((each) => [each.quantizable.node, each]));
  const placed = graph.node.flatMap((node) => {
    const found = byNode.get(node);
    if (!found) return [node];
    if (!isLinear(found)) return storeAsIntegers(found, node, added);
    const bits = options.eightBits.some((pattern) => matchesPath(pattern, found.path)) ? 8 : options.bits;
    const key = `${bits} ${found.weight.weight.name}`;
    const weight = blocks.get(key) ?? addBlockWeight(found.weight.weight, bits, added);
    blocks.set(key, weight);
    return [blockProduct(node, weight, bits)];
  });
  graph.node = [...added.nodes, ...placed];
  append(graph.initializer, added.tensors);
  if (blocks.size > 0) importDomain(model, CONTRIB);
  await foldConstants(model);
  removeUnused(model);
  return stored.length;
}

/** A node with a weight that is worth storing as integers, in the words of a plan. */
interface StoredNode {
  readonly quantizable: Quantizable;
  readonly path: string;
  readonly weight: PlannedWeight;
}

function withWeight(quantizable: Quantizable): StoredNode[] {
  const { weight: found, node, path } = quantizable;
  if (!found || elementCount(dimensionsOf(found.tensor)) < LEAST_ELEMENTS) return [];
  const { input: index, tensor, channelAxis: axis } = found;
  const weight: PlannedWeight = {
    node: node.name,
    side: 'input',
    index,
    weight: tensor,
    axis,
    scheme: DEFAULT_WEIGHT_SCHEME,
  };
  return [{ quantizable, path, weight }];
}

/** True for a product with a matrix of enough rows: filled up to a block, fewer would need more bytes than they save. */
const isLinear = ({ quantizable: { operator }, weight: { index, weight } }: StoredNode) =>
  operator === 'MatMul' && index === 1 && weight.dims.length === 2 && Number(weight.dims[0]) >= BLOCK / 2;

function blockProduct(node: NodeProto, { values, scales, rows, channels }: BlockWeight, bits: BlockBits): NodeProto {
  const product = makeNode(BLOCK_PRODUCT, node.name, [node.input[0] ?? '', values, scales], node.output, {
    K: rows,
    N: channels,
    bits,
    block_size: BLOCK,
  });
  product.domain = CONTRIB;
  return product;
}
