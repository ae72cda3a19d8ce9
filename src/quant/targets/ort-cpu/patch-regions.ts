/**
 * The parts of a graph that bring the numbers of a patch side by side. Such nodes differ with the exporter, and with what is known
 * of the map's size, so that they are run and compared with what an operator does.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { type GraphIndex, isStandard, usedBy } from '../../../onnx/graph-index.ts';
import type { Infos } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode } from '../../../onnx/rewrite.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { floatData, floats } from '../../../runtime/tensor.ts';
import type { Range } from './residual-sum.ts';
import { type MapShape, type Region, regionBefore } from './window-regions.ts';

/** Operators that move numbers of a map. */
const MOVES: readonly string[] = ['Pad', 'Reshape', 'Transpose', 'Slice', 'Concat', 'Split', 'Squeeze', 'Unsqueeze'];

/** Where the numbers of patches come from. */
export interface Patches {
  readonly shape: MapShape;
  /** For each number of the result its place in the map; −1 for a zero beside the map. */
  readonly places: Int32Array;
}

/**
 * The region in which only numbers of one map of four dimensions are moved, and which ends in `output`; undefined if there is
 * none. With a range, the numbers become bytes of this range on their way.
 */
export function movesBefore(output: string, index: GraphIndex, infos: Infos, range?: Range): Region | undefined {
  const isMap = (name: string) =>
    infos.get(name)?.type === DataType.FLOAT &&
    !index.initializer.has(name) &&
    !MOVES.includes(index.producer.get(name)?.opType ?? '');
  const region = regionBefore(output, isMap, index);
  if (!region || region.nodes.size === 0 || infos.get(region.input)?.shape?.length !== 4) return undefined;
  const inner = new Set([region.input, ...[...region.nodes].flatMap((node) => node.output)]);
  if (!region.shapes.every((node) => inner.has(node.input[0] ?? ''))) return undefined;
  const ofBytes = [...region.nodes].filter((node) => infos.get(node.output[0] ?? '')?.type === DataType.UINT8);
  const quantizers = ofBytes.filter((node) => isStandard(node, 'QuantizeLinear'));
  const isOfRange = ({ input }: NodeProto) => input[1] === range?.[0] && input[2] === range?.[1];
  // A Pad of bytes is none of these moves: what it puts beside a map need not be the byte of 0.
  const isMove = (node: NodeProto) => MOVES.includes(node.opType) && node.opType !== 'Pad';
  const areMoved = ofBytes.every((node) => quantizers.includes(node) || isMove(node));
  return areMoved && quantizers.length === (range ? 1 : 0) && quantizers.every(isOfRange) ? region : undefined;
}

/** Runs a region, in which numbers stay floats, on maps of the given shapes and compares every number with where it belongs. */
export async function movesPatches(
  model: Model,
  region: Region,
  shapes: readonly MapShape[],
  patchesOf: (shape: MapShape) => Patches,
): Promise<boolean> {
  const nodes = new Set([...region.nodes, ...region.shapes]);
  const used = new Set([...nodes].flatMap((node) => [...usedBy(node)]));
  const graph = create(GraphProtoSchema, {
    name: 'patches',
    node: model.graph.node.filter((node) => nodes.has(node)).map(onFloats),
    initializer: model.graph.initializer.filter(({ name }) => used.has(name)),
    input: [makeValueInfo(region.input, DataType.FLOAT, new Array(4).fill(undefined))],
    output: [makeValueInfo(region.output, DataType.FLOAT, undefined)],
  });
  const { irVersion, opsetImport, functions } = model;
  const part = Object.assign(create(ModelProtoSchema, { irVersion, opsetImport, functions, graph }), { graph });
  await using session = await Session.create(modelBytes(part), {}, `the nodes before ${region.output}`);
  for (const shape of shapes) {
    const map = new Float32Array(shape.reduce((product, size) => product * size, 1)).map((_, at) => numberAt(at));
    using outputs = await session.run({ [region.input]: floats(map, shape) });
    const found = outputs.get(region.output);
    const expected = patchesOf(shape);
    const hasShape = found.shape.length === 4 && found.shape.every((size, axis) => size === expected.shape[axis]);
    const isRight = (value: number, at: number) => {
      const place = expected.places[at] ?? -1;
      return value === (place < 0 ? 0 : numberAt(place));
    };
    if (!hasShape || !floatData(found).every(isRight)) return false;
  }
  return true;
}

/** A node as it is on floats: none become bytes. */
const onFloats = (node: NodeProto): NodeProto =>
  isStandard(node, 'QuantizeLinear') ? makeNode('Identity', node.name, node.input.slice(0, 1), node.output) : node;

/** A number that tells a place from others, and from the zeros beside the map. */
const numberAt = (at: number): number => (at % (2 ** 24 - 1)) + 1;
