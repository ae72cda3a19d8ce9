/**
 * Writes 16-bit floats into a model: weights are stored and layers computed in float16, except for islands in float32. Runtimes
 * that take the types of the file as they are, such as TensorRT with strong typing, compute a model in 16 bits only if it says so.
 */
import { checkFields } from '../../base/check-options.ts';
import { InputError } from '../../base/errors.ts';
import { integerAttribute, setAttribute } from '../../onnx/attributes.ts';
import { type GraphIndex, indexGraph } from '../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../onnx/infer/infer.ts';
import { UniqueNames } from '../../onnx/lower/unique-names.ts';
import { isStandardDomain, operatorName, standardVersion } from '../../onnx/opset.ts';
import type { Model } from '../../onnx/read.ts';
import { copyNode, makeNode, modulePath, removeUnused, replaceUses, sortTopologically } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { subgraphsOf } from '../../onnx/traverse.ts';
import { DataType, type NodeProto, type TensorProto } from '../../onnx/types.ts';
import { computeConstants } from '../../runtime/fold-constants.ts';
import { BLOCK_PRODUCT } from '../block-weights/store-block-weights.ts';
import { matchesPath } from '../match-path.ts';
import { CONTRIB } from '../targets/ort-cpu/integer-product.ts';

/** Options of `storeHalf`. */
export interface HalfOptions {
  /** Patterns of the module paths that stay in float32. */
  readonly single: readonly string[];
}

/** The version since which scales of Q/DQ pairs may be float16. */
const OLDEST = 19;
/** The largest number of float16. Masks have larger ones, which would become infinite and, times 0, no number. */
const LARGEST = 65_504;

/**
 * Operators in float32 wherever they are: exponentials, sums over many numbers and squares exceed float16, a sampling position needs
 * more digits than it has, and what makes constants or ranges has its type by definition. LayerNormalization is not among them:
 * its definition computes in float32 whatever the type of its input.
 */
const SINGLE = new Set([
  'Constant',
  'ConstantOfShape',
  'Cos',
  'CumSum',
  'Exp',
  'GridSample',
  'InstanceNormalization',
  'Log',
  'LogSoftmax',
  'Pow',
  'Range',
  'ReduceL2',
  'ReduceMean',
  'ReduceProd',
  'ReduceSum',
  'ReduceSumSquare',
  'Resize',
  'Sin',
  'Softmax',
  'Sqrt',
  'TopK',
]);

/** Operators that move numbers: they have the type of what they move. */
const MOVING = new Set([
  'Concat',
  'Expand',
  'Flatten',
  'Gather',
  'GatherElements',
  'GatherND',
  'Identity',
  'Pad',
  'Reshape',
  'Slice',
  'Split',
  'Squeeze',
  'Tile',
  'Transpose',
  'Unsqueeze',
]);

type FloatType = 'half' | 'single';

/** A model that is rewritten. */
interface Rewriting {
  readonly single: readonly string[];
  readonly infos: Infos;
  readonly index: GraphIndex;
  readonly names: UniqueNames;
  /** The types of the floats that nodes compute. */
  readonly types: Map<string, FloatType>;
  /** The names of values in the type that they are converted to. */
  readonly converted: Map<string, string>;
  /** The initializers that are needed in float16, by their names, with the names that they get. */
  readonly halves: Map<string, string>;
}

/**
 * Stores a model in float16 except for islands in float32. Inputs and results keep their types.
 *
 * @param model is changed; it must have no functions, and version 19 or later of the operators
 * @param source names the model in errors
 * @returns the number of nodes in float16
 * @throws InputError if the model has branches or loops
 * @example
 * const count = await storeHalf(model, { single: ['**.bbox_embed.**'] }, 'detector.onnx');
 */
export async function storeHalf(model: Model, options: HalfOptions, source: string): Promise<number> {
  checkFields('The options must be an object with the nodes that stay `single`', options, 'single');
  if (standardVersion(model) < OLDEST) throw new Error(`pairs of float16 need version ${OLDEST} of the operators`);
  const { graph } = model;
  sortTopologically(graph);
  const index = indexGraph(graph);
  const rewriting: Rewriting = {
    single: options.single,
    infos: inferShapes(model),
    index,
    names: UniqueNames.of(graph),
    types: new Map(),
    converted: new Map(),
    halves: new Map(),
  };
  let count = 0;
  graph.node = graph.node.flatMap((node) => {
    if (subgraphsOf(node).length > 0)
      throw new InputError(
        `${source}: the node ${node.name || node.output[0]} (${node.opType}) has branches, which dino8 does not write in float16.`,
      );
    const type = typeOf(node, rewriting);
    if (type === 'half') count++;
    return type ? retype(node, type, rewriting) : [node];
  });
  keepResults(model, rewriting);
  await storeInitializers(model, rewriting);
  // The types that a file states for values between nodes are those of before.
  graph.valueInfo = [];
  removeUnused(model);
  return count;
}

const isFloat = (name: string, { infos, index }: Rewriting) =>
  (index.initializer.get(name)?.dataType ?? infos.get(name)?.type) === DataType.FLOAT;

/** True if a node is computed in float32 by its operator or its place. */
function isSingle(node: NodeProto, { single }: Rewriting): boolean {
  const isKnown = isStandardDomain(node.domain) || operatorName(node) === `${CONTRIB}::${BLOCK_PRODUCT}`;
  if (!isKnown || SINGLE.has(node.opType)) return true;
  const path = modulePath(node);
  // Nodes without a place give out results, or belong to the size of the image.
  return path === '' || single.some((pattern) => matchesPath(pattern, path));
}

/** The type of the floats of a node; undefined if it has none. */
function typeOf(node: NodeProto, rewriting: Rewriting): FloatType | undefined {
  const { types, index } = rewriting;
  const [first = ''] = node.input;
  if (![...node.input, ...node.output].some((name) => name && isFloat(name, rewriting))) return undefined;
  const own: FloatType = isSingle(node, rewriting) ? 'single' : 'half';
  if (node.opType === 'QuantizeLinear') return types.get(first) ?? 'single';
  if (node.opType === 'DequantizeLinear') {
    const readers = node.output.flatMap((name) => index.consumers.get(name) ?? []);
    return readers.some((reader) => !isSingle(reader, rewriting)) ? 'half' : 'single';
  }
  if (node.opType === 'Cast' && types.has(first)) return types.get(first);
  if (!MOVING.has(node.opType)) return own;
  const moved = node.input.flatMap((name) => types.get(name) ?? []);
  return moved.length === 0 ? own : moved.includes('single') ? 'single' : 'half';
}

/** The node with floats of one type, after nodes that convert its inputs. */
function retype(node: NodeProto, type: FloatType, rewriting: Rewriting): NodeProto[] {
  const { types } = rewriting;
  const nodes: NodeProto[] = [];
  // A conversion takes any type.
  const takesAny = node.opType === 'Cast';
  const input = node.input.map((name) =>
    name && isFloat(name, rewriting) && !takesAny ? convert(name, type, nodes, rewriting) : name,
  );
  const placed = copyNode(node, { input });
  if (node.opType === 'Cast' && integerAttribute(node, 'to', 0) === DataType.FLOAT && type === 'half')
    setAttribute(placed, 'to', DataType.FLOAT16);
  for (const name of node.output) if (name && isFloat(name, rewriting)) types.set(name, type);
  return [...nodes, placed];
}

/** The name of a value in a type; adds a node that converts it if it has the other one. */
function convert(name: string, type: FloatType, nodes: NodeProto[], rewriting: Rewriting): string {
  const { types, converted, halves, names, index } = rewriting;
  const isStored = index.initializer.has(name);
  if ((types.get(name) ?? 'single') === type) return name;
  if (isStored) {
    const half = halves.get(name) ?? names.take(`${name}.half`);
    halves.set(name, half);
    return half;
  }
  const known = converted.get(name);
  if (known) return known;
  const result = names.take(`${name}.${type}`);
  const producer = index.producer.get(name);
  if (producer?.opType === 'DequantizeLinear') {
    // Runtimes fuse a pair with the operator right behind it, so the integers are read in both types.
    const input = producer.input.map((each) =>
      isFloat(each, rewriting) ? convert(each, type, nodes, rewriting) : each,
    );
    nodes.push(copyNode(producer, { name: names.take(`${producer.name}.${type}`), input, output: [result] }));
    converted.set(name, result);
    return result;
  }
  const to = type === 'half' ? DataType.FLOAT16 : DataType.FLOAT;
  const path = producer?.name ?? name;
  nodes.push(makeNode('Cast', names.take(`${path}.${type}`), [name], [result], { to }));
  converted.set(name, result);
  return result;
}

/** The results of the model keep their type. */
function keepResults({ graph }: Model, { types, names }: Rewriting): void {
  for (const { name } of graph.output) {
    if (types.get(name) !== 'half') continue;
    const half = names.take(`${name}.half`);
    replaceUses(graph, name, half);
    for (const node of graph.node) node.output = node.output.map((each) => (each === name ? half : each));
    graph.node.push(makeNode('Cast', names.take(`${name}/Cast`), [half], [name], { to: DataType.FLOAT }));
  }
}

/** Converts initializers: ONNX Runtime rounds them. */
async function storeInitializers(model: Model, { halves, index, names }: Rewriting): Promise<void> {
  if (halves.size === 0) return;
  const stored = new Map<string, TensorProto>(index.initializer);
  const [lowest, highest] = [-LARGEST, LARGEST].map((limit) => {
    const name = names.take('float16.limit');
    stored.set(name, makeTensor(name, [], Float32Array.of(limit)));
    return name;
  }) as [string, string]; // as many as numbers
  const nodes = [...halves].flatMap(([name, half]) => [
    makeNode('Clip', `${half}.Clip`, [name, lowest, highest], [`${half}.clipped`]),
    makeNode('Cast', `${half}.Cast`, [`${half}.clipped`], [half], { to: DataType.FLOAT16 }),
  ]);
  model.graph.initializer.push(...(await computeConstants(model, nodes, [...halves.values()], stored)));
}
