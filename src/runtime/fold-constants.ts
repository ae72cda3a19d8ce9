/**
 * Constant folding: values that do not depend on the inputs, such as transposed weights, bias tables and converted types,
 * are computed once. ONNX Runtime computes them; TypeScript only decides which nodes can be folded.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { append } from '../base/append.ts';
import { integerAttribute } from '../onnx/attributes.ts';
import { inferShapes } from '../onnx/infer/infer.ts';
import type { Model } from '../onnx/read.ts';
import { removeUnused } from '../onnx/rewrite.ts';
import { isExternal, makeTensor, tensorBytes } from '../onnx/tensor.ts';
import { subgraphsOf } from '../onnx/traverse.ts';
import {
  byteLength,
  DataType,
  elementCount,
  type NodeProto,
  type TensorInfo,
  type TensorProto,
} from '../onnx/types.ts';
import { makeValueInfo } from '../onnx/value-info.ts';
import { modelBytes } from '../onnx/write.ts';
import { Session } from './session.ts';
import { copyTensor, type Tensor, tensor } from './tensor.ts';

/** The outputs of these operators differ from run to run or, for DequantizeLinear, are larger than the inputs. */
const NEVER_FOLDED = new Set([
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
  'Bernoulli',
  'Multinomial',
  'DequantizeLinear',
]);

/**
 * Replaces every node that depends on initializers alone by its result.
 *
 * @param model is changed
 * @param largest the size in bytes of the largest result to store; larger ones, and those of unknown size, are left to be
 * computed at each run; everything is folded by default
 * @returns the number of nodes that were folded
 * @throws RuntimeError if a node cannot be computed
 */
export async function foldConstants(model: Model, largest?: number): Promise<number> {
  const { graph } = model;
  const infos = largest === undefined ? undefined : inferShapes(model);
  const isSmall = (name: string) => largest === undefined || bytesNeeded(infos?.get(name)) <= largest;
  const stored = new Map(graph.initializer.map((initializer) => [initializer.name, initializer]));
  const overridable = new Set(graph.input.map((input) => input.name));
  const constant = new Set([...stored.keys()].filter((name) => !overridable.has(name)));
  const packed = new Set(graph.initializer.filter(({ dataType }) => isPacked(dataType)).map(({ name }) => name));
  const folded = graph.node.filter((node) => {
    // Weights of 4 bits keep their 4 bits in the file; ONNX Runtime unpacks them when it loads the model.
    if (node.input.some((name) => packed.has(name))) return false;
    if (node.opType === 'Cast' && isPacked(integerAttribute(node, 'to', 0))) packed.add(node.output[0] ?? '');
    if (!isFoldable(node, model) || !node.input.every((name) => name === '' || constant.has(name))) return false;
    if (!node.output.every(isSmall)) return false;
    for (const name of node.output) constant.add(name);
    return true;
  });
  if (folded.length === 0) return 0;
  const gone = new Set(folded);
  graph.node = graph.node.filter((node) => !gone.has(node));
  const needed = new Set([...graph.node.flatMap((node) => node.input), ...graph.output.map((output) => output.name)]);
  const results = folded.flatMap((node) => node.output).filter((name) => needed.has(name));
  for (const batch of batches(folded, results, stored))
    append(graph.initializer, await computeConstants(model, batch.nodes, batch.results, stored));
  removeUnused(model);
  return folded.length;
}

const isPacked = (type: number) => type === DataType.INT4 || type === DataType.UINT4;

function bytesNeeded(info: TensorInfo | undefined): number {
  if (!info?.shape?.every((dimension) => typeof dimension === 'number')) return Number.POSITIVE_INFINITY;
  return byteLength(info.type, elementCount(info.shape)) ?? Number.POSITIVE_INFINITY;
}

function isFoldable(node: NodeProto, model: Model): boolean {
  const isOperator = node.domain === '' || node.domain === 'ai.onnx';
  const feedsOutput = node.output.some((name) => model.graph.output.some((output) => output.name === name));
  return isOperator && !feedsOutput && !NEVER_FOLDED.has(node.opType) && subgraphsOf(node).length === 0;
}

/** The bytes of weights that are folded at a time: they exist twice until the results are copied. */
const BATCH_BYTES = 1 << 26;

interface Batch {
  readonly nodes: NodeProto[];
  readonly results: string[];
}

/** Splits the results into batches of limited size, each with the nodes it needs. Nodes that two batches need run twice. */
function batches(
  folded: readonly NodeProto[],
  results: readonly string[],
  stored: ReadonlyMap<string, TensorProto>,
): Batch[] {
  const producer = new Map(folded.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const groups: { needed: Set<NodeProto>; results: string[]; bytes: number }[] = [];
  for (const result of results) {
    const needed = new Set<NodeProto>();
    let bytes = 0;
    const pending = [result];
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      const node = producer.get(name);
      bytes += stored.get(name)?.rawData.length ?? 0;
      if (!node || needed.has(node)) continue;
      needed.add(node);
      append(pending, node.input);
    }
    const last = groups.at(-1);
    const isShared = last !== undefined && [...needed].some((node) => last.needed.has(node));
    if (last && (isShared || last.bytes + bytes <= BATCH_BYTES)) {
      for (const node of needed) last.needed.add(node);
      last.results.push(result);
      last.bytes += isShared ? 0 : bytes;
    } else groups.push({ needed, results: [result], bytes });
  }
  return groups.map(({ needed, results: names }) => ({
    nodes: folded.filter((node) => needed.has(node)),
    results: names,
  }));
}

/**
 * Computes values that depend on initializers alone. The nodes run in a model of their own, whose inputs are the initializers that
 * they need: inputs are not copied.
 *
 * @param nodes need not be nodes of `model`, whose version of the operators they use
 * @param results the names of the values to compute
 * @param stored the initializers by their names
 * @returns the values as initializers of these names
 */
export async function computeConstants(
  model: Model,
  nodes: readonly NodeProto[],
  results: readonly string[],
  stored: ReadonlyMap<string, TensorProto>,
): Promise<TensorProto[]> {
  const needed = [...new Set(nodes.flatMap((node) => node.input))].flatMap((name) => stored.get(name) ?? []);
  const graph = create(GraphProtoSchema, { name: 'constants', node: [...nodes] });
  const feeds: Record<string, Tensor> = {};
  for (const initializer of needed) {
    const shape = initializer.dims.map(Number);
    // Integers stay constants, because the nodes that use them as shapes are valid only with constant ones.
    if (initializer.dataType === DataType.INT64 || isExternal(initializer)) {
      graph.initializer.push(initializer);
      continue;
    }
    const type = initializer.dataType as DataType; // a number of the file format
    graph.input.push(makeValueInfo(initializer.name, type, shape));
    // The bytes are given as they are. A view of their elements would be a copy where the file does not align them.
    feeds[initializer.name] = tensor(tensorBytes(initializer), shape, type);
  }
  const message = create(ModelProtoSchema, { irVersion: model.irVersion, opsetImport: model.opsetImport, graph });
  const part = Object.assign(message, { graph });
  const infos = inferShapes(part);
  for (const name of results)
    graph.output.push(makeValueInfo(name, infos.get(name)?.type ?? DataType.FLOAT, undefined));
  await using session = await Session.create(modelBytes(part), {}, 'the constants of the model');
  using outputs = await session.run(feeds);
  return results.map((name) => {
    const { data, shape, type } = copyTensor(outputs.get(name));
    return makeTensor(name, shape, data, type);
  });
}
