/**
 * Deformable attention by TensorRT's own plug-in, `MultiscaleDeformableAttnPlugin_TRT`, in place of GridSample, which is slow in some
 * versions (https://github.com/NVIDIA/TensorRT/issues/4246). The plug-in is part of libnvinfer_plugin since TensorRT 8.4; its inputs are
 * in https://github.com/NVIDIA/TensorRT/tree/main/plugin/multiscaleDeformableAttnPlugin.
 */
import { setAttribute } from '../../../onnx/attributes.ts';
import { GraphBuilder, type Value } from '../../../onnx/builder.ts';
import { copyModel } from '../../../onnx/copy.ts';
import { type GraphIndex, indexGraph, onlyReader } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import { UniqueNames } from '../../../onnx/lower/unique-names.ts';
import { standardImport, standardVersion } from '../../../onnx/opset.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { makeTensor, tensorElements } from '../../../onnx/tensor.ts';
import { DataType, type FunctionProto, type NodeProto } from '../../../onnx/types.ts';

const PLUGIN = 'MultiscaleDeformableAttnPlugin_TRT';
/** The domain of the plug-in's name in models for ONNX Runtime, where only functions of other domains than ONNX's have bodies. */
const CHECK_DOMAIN = 'dino8.check';

/** The height and width of a level. */
type LevelSize = readonly [height: number, width: number];

/** A deformable attention in a model of one size, as standard operators. */
interface Attention {
  /** [batch, positions, heads, channels] */
  readonly value: string;
  /** (x, y) in 0..1, [batch, queries, heads, levels, points, 2]. */
  readonly locations: string;
  /** After the softmax, [batch, queries, heads, levels, points]. */
  readonly weights: string;
  readonly levels: readonly LevelSize[];
  /** The node that gives the result, [batch, queries, heads · channels]. */
  readonly last: NodeProto;
}

/**
 * Puts the plug-in in place of every deformable attention.
 *
 * @param model is changed; it must be for one size of images, and have no functions
 * @returns the number of places; those that the model computes in another way stay as they are
 */
export function useAttentionPlugin(model: Model): number {
  const { graph } = model;
  const infos = inferShapes(model);
  const found = findAttentions(model, infos);
  const names = UniqueNames.of(graph);
  for (const { value, locations, weights, levels, last } of found) {
    const path = last.name.replace(/\/.*$/, '');
    const unique = (part: string) => names.take(`${path}/${part}`);
    const [shapes, starts, joined, sampled] = [
      unique('spatial_shapes'),
      unique('level_start_index'),
      unique('joined'),
      unique('sampled'),
    ];
    let start = 0;
    const begins = levels.map(([height, width]) => {
      start += height * width;
      return start - height * width;
    });
    graph.initializer.push(
      makeTensor(shapes, [levels.length, 2], Int32Array.from(levels.flat())),
      makeTensor(starts, [levels.length], Int32Array.from(begins)),
      makeTensor(joined, [3], BigInt64Array.of(0n, 0n, -1n)),
    );
    const nodes: NodeProto[] = [];
    const inSingle = (name: string): string => {
      if (infos.get(name)?.type === DataType.FLOAT) return name;
      const single = unique('single');
      nodes.push(makeNode('Cast', unique('Cast'), [name], [single], { to: DataType.FLOAT }));
      return single;
    };
    const inputs = [inSingle(value), shapes, starts, inSingle(locations), inSingle(weights)];
    nodes.push(
      makeNode(PLUGIN, unique(PLUGIN), inputs, [sampled], { plugin_version: '1', plugin_namespace: '' }),
      makeNode('Reshape', unique('Reshape'), [sampled, joined], last.output),
    );
    graph.node.splice(graph.node.indexOf(last), 1, ...nodes);
  }
  if (found.length > 0) removeUnused(model);
  return found.length;
}

/**
 * A copy of a model in which the plug-in is a function with a body of standard operators, so that ONNX Runtime runs it.
 * @param model what `useAttentionPlugin` changed
 */
export function withPluginBodies(model: Model): Model {
  const copy = copyModel(model);
  const stored = new Map(copy.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const bodies = new Map<string, FunctionProto>();
  for (const node of copy.graph.node) {
    if (node.opType !== PLUGIN) continue;
    const shapes = stored.get(node.input[1] ?? '');
    if (!shapes) throw new Error('the plug-in has stored sizes of levels');
    const [...sides] = [...tensorElements(shapes)].map(Number);
    const sizes = Array.from(
      { length: sides.length / 2 },
      (_, level): LevelSize => [sides[2 * level] ?? 0, sides[2 * level + 1] ?? 0],
    );
    const name = `${PLUGIN}_${sizes.flat().join('_')}`;
    if (!bodies.has(name)) bodies.set(name, pluginBody(name, sizes, standardVersion(model)));
    node.domain = CHECK_DOMAIN;
    node.opType = name;
    node.attribute = [];
  }
  copy.functions.push(...bodies.values());
  importDomain(copy, CHECK_DOMAIN);
  return copy;
}

/** The plug-in in standard operators, for levels of these sizes: Σ weights · bilinear(value, locations), and 0 outside of a level. */
function pluginBody(name: string, levels: readonly LevelSize[], version: number): FunctionProto {
  const b = new GraphBuilder(name);
  const count = levels.length;
  const value = b.input('value', DataType.FLOAT, ['batch', 'positions', 'heads', 'channels']);
  b.input('spatial_shapes', DataType.INT32, [count, 2]);
  b.input('level_start_index', DataType.INT32, [count]);
  const locations = b.input('sampling_locations', DataType.FLOAT, ['batch', 'queries', 'heads', count, 'points', 2]);
  const weights = b.input('attention_weights', DataType.FLOAT, ['batch', 'queries', 'heads', count, 'points']);
  const [batch, heads, channels] = [b.dimension(value, 0), b.dimension(value, 2), b.dimension(value, 3)];
  const queries = b.dimension(locations, 1);
  const groups = b.mul(batch, heads);
  // GridSample counts from −1 to 1.
  const grids = b.transpose(b.sub(b.mul(locations, 2), 1), [0, 2, 3, 1, 4, 5]);
  const byLevel = b.transpose(weights, [0, 2, 3, 1, 4]);
  const ones = b.integers(...levels.map(() => 1));
  const areas = b.integers(...levels.map(([height, width]) => height * width));
  const [maps, gridOf, weightOf] = [
    b.split(value, areas, count, 1),
    b.split(grids, ones, count, 2),
    b.split(byLevel, ones, count, 2),
  ];
  const sums = levels.map(([height, width], level): Value => {
    const at = (list: readonly Value[]) => list[level] as Value; // every split above has `count` parts
    const map = b.reshape(b.transpose(at(maps), [0, 2, 3, 1]), [groups, channels, b.integers(height, width)]);
    const sampled = b.gridSample(map, b.reshape(at(gridOf), [groups, queries, -1, 2]));
    return b.reduceSum(b.mul(sampled, b.reshape(at(weightOf), [groups, 1, queries, -1])), [3], false);
  });
  const total = sums.reduce((sum, next) => b.add(sum, next)); // [batch · heads, channels, queries]
  b.output('output', b.transpose(b.reshape(total, [batch, heads, channels, queries]), [0, 3, 1, 2]));
  const body = b.finishFunction(CHECK_DOMAIN);
  // Of the operators above only GridSample changed since version 17: its mode had another name.
  for (const node of body.node) if (node.opType === 'GridSample') setAttribute(node, 'mode', 'bilinear');
  body.opsetImport = [standardImport(version)];
  return body;
}

/** The attentions of a graph, recognised by what leads to their GridSample nodes and away from them. */
function findAttentions({ graph }: Model, infos: Infos): Attention[] {
  const index = indexGraph(graph);
  const samplers = new Map<NodeProto, NodeProto[]>();
  for (const node of graph.node) {
    const last = node.opType === 'GridSample' ? resultOf(node, index) : undefined;
    if (last) samplers.set(last, [...(samplers.get(last) ?? []), node]);
  }
  return [...samplers].flatMap(([last, nodes]) => attentionOf(last, nodes, index, infos) ?? []);
}

/** The last node of the attention that a GridSample belongs to. */
function resultOf(sampler: NodeProto, index: GraphIndex): NodeProto | undefined {
  const weighted = onlyReader(sampler, index);
  let node = weighted?.opType === 'Mul' ? onlyReader(weighted, index) : undefined;
  if (node?.opType !== 'ReduceSum') return undefined;
  do node = onlyReader(node, index);
  while (node?.opType === 'Add');
  const last = node?.opType === 'Reshape' ? onlyReader(node, index) : undefined;
  return last?.opType === 'Transpose' ? last : undefined;
}

/** The first node of a chain of operators, which is read from its end, and the number of its result that the chain reads. */
function startOf(
  end: string,
  operators: readonly string[],
  index: GraphIndex,
): [node: NodeProto, output: number] | undefined {
  let name = end;
  for (const [place, operator] of operators.entries()) {
    const node = index.producer.get(name);
    if (node?.opType !== operator) return undefined;
    if (place === operators.length - 1) return [node, node.output.indexOf(name)];
    name = node.input[0] ?? '';
  }
  return undefined;
}

function attentionOf(
  last: NodeProto,
  samplers: readonly NodeProto[],
  index: GraphIndex,
  infos: Infos,
): Attention | undefined {
  const levels: LevelSize[] = [];
  const [values, locations, weights] = [new Set<string>(), new Set<string>(), new Set<string>()];
  for (const sampler of samplers) {
    const [map = '', grid = ''] = sampler.input;
    const split = startOf(unchanged(map, index), ['Reshape', 'Transpose', 'Split'], index);
    const scaled = startOf(grid, ['Reshape', 'Split', 'Transpose', 'Sub', 'Mul'], index);
    const weighted = onlyReader(sampler, index);
    const weight = weighted?.input.find((name) => name !== sampler.output[0]) ?? '';
    const ordered = startOf(weight, ['Reshape', 'Split', 'Transpose'], index);
    const [height, width] = infos.get(map)?.shape?.slice(2) ?? [];
    if (!split || !scaled || !ordered || typeof height !== 'number' || typeof width !== 'number') return undefined;
    levels[split[1]] = [height, width];
    values.add(split[0].input[0] ?? '');
    locations.add(scaled[0].input[0] ?? '');
    weights.add(ordered[0].input[0] ?? '');
  }
  const [value] = values;
  const [location] = locations;
  const [weight] = weights;
  if (values.size + locations.size + weights.size !== 3 || !value || !location || !weight) return undefined;
  return { value, locations: location, weights: weight, levels, last };
}

/** The value before conversions and the subtraction of a zero point that is 0. */
function unchanged(name: string, index: GraphIndex): string {
  const node = index.producer.get(name);
  const [first = '', second = ''] = node?.input ?? [];
  if (node?.opType === 'Cast') return unchanged(first, index);
  const zero = node?.opType === 'Sub' ? index.initializer.get(second) : undefined;
  return zero && [...tensorElements(zero)].every((x) => Number(x) === 0) ? unchanged(first, index) : name;
}
