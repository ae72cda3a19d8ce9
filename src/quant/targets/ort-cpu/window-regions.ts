/** The parts of a graph that move values between a map and its windows, and whether they do what `WindowAttention` does. */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, ModelProtoSchema } from 'onnx-buf';
import { append } from '../../../base/append.ts';
import { integerAttribute } from '../../../onnx/attributes.ts';
import { type GraphIndex, usedBy } from '../../../onnx/graph-index.ts';
import type { Model } from '../../../onnx/read.ts';
import { subgraphsOf } from '../../../onnx/traverse.ts';
import { DataType, type NodeProto } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { modelBytes } from '../../../onnx/write.ts';
import { Session } from '../../../runtime/session.ts';
import { copyTensor, integers, type Tensor, tensor } from '../../../runtime/tensor.ts';
import { ACROSS_BORDERS } from './window-attention-function.ts';

/** The nodes that compute a value from another one, from constants, and from shapes. */
export interface Region {
  readonly input: string;
  readonly output: string;
  readonly nodes: ReadonlySet<NodeProto>;
  /** The nodes Shape whose results the region uses; they are not among its nodes. */
  readonly shapes: readonly NodeProto[];
}

/** Finds the region that ends in `output` and begins where `isInput` is true; undefined if it has another input than one such value. */
export function regionBefore(
  output: string,
  isInput: (name: string) => boolean,
  index: GraphIndex,
): Region | undefined {
  const inputs = new Set<string>();
  const nodes = new Set<NodeProto>();
  const shapes = new Set<NodeProto>();
  const pending = [output];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (isInput(name)) {
      inputs.add(name);
      continue;
    }
    if (index.initializer.has(name)) continue;
    const node = index.producer.get(name);
    if (!node || subgraphsOf(node).length > 0) return undefined;
    if (node.opType === 'Shape' && node.domain === '') shapes.add(node);
    else if (!nodes.has(node)) {
      nodes.add(node);
      append(pending, usedBy(node));
    }
  }
  const [input] = inputs;
  return inputs.size === 1 && input !== undefined ? { input, output, nodes, shapes: [...shapes] } : undefined;
}

/** The dimensions of a map [batch, height, width, channels], or of an image [batch, colours, height, width]. */
export type MapShape = readonly [number, number, number, number];

/** Maps on which regions are run: those of the given shapes, with the dimensions that are known in any case. */
export function shapesToTry(known: readonly unknown[], tried: readonly MapShape[]): MapShape[] {
  const shapes = tried.map((shape) =>
    shape.map((size, axis) => (typeof known[axis] === 'number' ? known[axis] : size)),
  ) as unknown as MapShape[]; // as many dimensions as before
  return shapes.filter((shape, at) => shapes.findIndex((other) => other.join() === shape.join()) === at);
}

/** The parameters of a block whose regions do the same as `WindowAttention`. */
export interface WindowRegions {
  /** From the bytes of the map to the tokens [batch · windows, tokens, channels]. */
  readonly partition: Region;
  /** The byte of positions outside of the map. */
  readonly zeroPoint: number;
  /** From the scores [batch · windows, heads, tokens, tokens] to those with bias and mask. */
  readonly biasing: Region;
  /** [heads, tokens, tokens] */
  readonly bias: Float32Array;
  /** From the results of the tokens to the map: floats, or bytes. */
  readonly restoration: Region;
  readonly movesBytes: boolean;
  readonly heads: number;
  readonly window: number;
}

/**
 * Runs the regions on maps of the given shapes and compares every number with where it belongs.
 * @returns the shift with which all numbers are right; undefined if there is none
 */
export async function shiftOf(
  model: Model,
  block: WindowRegions,
  shapes: readonly MapShape[],
): Promise<number | undefined> {
  const regions = [block.partition, block.biasing, block.restoration];
  if (regions.some(({ nodes }) => nodes.size === 0)) return undefined;
  const results = await runRegions(model, regions, block, shapes);
  const isRight = (shift: number) =>
    shapes.every((shape, at) => {
      const windows = windowsOf(shape, block.window, shift);
      const [partition, biased, restored] = results[at] ?? [];
      return (
        isPartition(partition, block, windows) &&
        isBiased(biased, block, windows) &&
        isRestored(restored, block, windows)
      );
    });
  return Array.from({ length: block.window }, (_, shift) => shift).find(isRight);
}

/** What the regions are given for a map: bytes, scores and the results of tokens. */
function inputsFor(shape: MapShape, { heads, window, movesBytes }: WindowRegions): Tensor[] {
  const tokens = window ** 2;
  const windows = windowsOf(shape, window, 0).places.length / tokens;
  const bytes = new Uint8Array(product(shape));
  for (let at = 0; at < bytes.length; at++) bytes[at] = hash(at);
  const scores = new Float32Array(windows * heads * tokens ** 2);
  for (let at = 0; at < scores.length; at++) scores[at] = hash(at) / 64;
  const numbers = new (movesBytes ? Uint8Array : Float32Array)(windows * tokens * shape[3]);
  for (let at = 0; at < numbers.length; at++) numbers[at] = resultAt(at, movesBytes);
  return [
    tensor(bytes, shape),
    tensor(scores, [windows, heads, tokens, tokens]),
    tensor(numbers, [windows, tokens, shape[3]]),
  ];
}

/** Where the tokens of a map's windows come from. */
interface Windows {
  readonly shape: MapShape;
  /** [windows · tokens] the position in the map, batch included; −1 for a token outside of it. */
  readonly places: Int32Array;
  /** [windows · tokens] tokens of a window attend to those of the same group. */
  readonly groups: Int32Array;
}

function windowsOf(shape: MapShape, window: number, shift: number): Windows {
  const [batch, height, width] = shape;
  const [rows, columns] = [Math.ceil(height / window), Math.ceil(width / window)];
  const count = batch * rows * columns * window ** 2;
  const [places, groups] = [new Int32Array(count), new Int32Array(count)];
  const line = (index: number, lines: number, at: number) => ({
    source: (index * window + at + shift) % (lines * window),
    group: index === lines - 1 && at >= window - shift ? 1 : 0,
  });
  let token = 0;
  for (let image = 0; image < batch; image++)
    for (let row = 0; row < rows; row++)
      for (let column = 0; column < columns; column++)
        for (let inner = 0; inner < window ** 2; inner++) {
          const down = line(row, rows, Math.floor(inner / window));
          const across = line(column, columns, inner % window);
          const isInside = down.source < height && across.source < width;
          places[token] = isInside ? (image * height + down.source) * width + across.source : -1;
          groups[token++] = 2 * down.group + across.group;
        }
  return { shape, places, groups };
}

function isPartition(found: Tensor | undefined, { window, zeroPoint }: WindowRegions, windows: Windows): boolean {
  const { shape, places } = windows;
  const channels = shape[3];
  const tokens = window ** 2;
  if (!found || !hasShape(found, [places.length / tokens, tokens, channels])) return false;
  return (found.data as Uint8Array).every((byte, at) => {
    const place = places[Math.floor(at / channels)] ?? -1;
    return byte === (place < 0 ? zeroPoint : hash(place * channels + (at % channels)));
  });
}

function isBiased(
  found: Tensor | undefined,
  { window, heads, bias }: WindowRegions,
  { places, groups }: Windows,
): boolean {
  const tokens = window ** 2;
  if (!found || !hasShape(found, [places.length / tokens, heads, tokens, tokens])) return false;
  return (found.data as Float32Array).every((score, at) => {
    const [token, other] = [Math.floor(at / tokens) % tokens, at % tokens];
    const first = Math.floor(at / (heads * tokens * tokens)) * tokens;
    const mask = groups[first + token] === groups[first + other] ? 0 : ACROSS_BORDERS;
    const expected = hash(at) / 64 + mask + (bias[at % bias.length] ?? 0);
    return Math.abs(score - expected) <= 1e-4;
  });
}

function isRestored(found: Tensor | undefined, { movesBytes }: WindowRegions, { shape, places }: Windows): boolean {
  if (!found || !hasShape(found, shape)) return false;
  const channels = shape[3];
  const map = found.data as Float32Array | Uint8Array;
  return places.every((place, token) => {
    if (place < 0) return true;
    for (let channel = 0; channel < channels; channel++)
      if (map[place * channels + channel] !== resultAt(token * channels + channel, movesBytes)) return false;
    return true;
  });
}

/** The number that stands for the result of a token and channel. */
const resultAt = (at: number, isByte: boolean): number => (isByte ? hash(at) : Math.fround(at));

/** A byte that tells a place from others. */
const hash = (at: number): number => (Math.imul(at + 1, 0x9e3779b1) >>> 24) & 0xff;

const product = (sizes: readonly number[]) => sizes.reduce((total, size) => total * size, 1);

const hasShape = ({ shape }: Tensor, expected: readonly number[]) =>
  shape.length === expected.length && shape.every((size, axis) => size === expected[axis]);

/** What the regions compute for maps of each shape. */
async function runRegions(
  model: Model,
  regions: readonly Region[],
  block: WindowRegions,
  shapes: readonly MapShape[],
): Promise<Tensor[][]> {
  const nodes = new Set(regions.flatMap((region) => [...region.nodes]));
  const used = new Set([...nodes].flatMap((node) => [...usedBy(node)]));
  const shapeNodes = [...new Set(regions.flatMap((region) => region.shapes))];
  const types = [DataType.UINT8, DataType.FLOAT, block.movesBytes ? DataType.UINT8 : DataType.FLOAT];
  const ranks = [4, 4, 3];
  const graph = create(GraphProtoSchema, {
    name: 'windows',
    node: model.graph.node.filter((node) => nodes.has(node)),
    initializer: model.graph.initializer.filter(({ name }) => used.has(name)),
    input: [
      ...regions.map(({ input }, at) =>
        makeValueInfo(input, types[at] ?? DataType.FLOAT, new Array(ranks[at]).fill(undefined)),
      ),
      ...shapeNodes.map(({ output }) => makeValueInfo(output[0] ?? '', DataType.INT64, [undefined])),
    ],
    output: regions.map(({ output }, at) => makeValueInfo(output, types[at] ?? DataType.FLOAT, undefined)),
  });
  const { irVersion, opsetImport, functions } = model;
  const part = Object.assign(create(ModelProtoSchema, { irVersion, opsetImport, functions, graph }), { graph });
  const place = regions.map(({ output }) => output).join(', ');
  await using session = await Session.create(modelBytes(part), {}, `the nodes before ${place}`);
  const found: Tensor[][] = [];
  for (const shape of shapes) {
    const inputs = inputsFor(shape, block);
    const sizes = shapeNodes.map((node) => {
      const size = shape.slice(integerAttribute(node, 'start', 0), integerAttribute(node, 'end', shape.length));
      return [node.output[0] ?? '', integers(size, [size.length])] as const;
    });
    const given = regions.map(({ input }, at) => [input, inputs[at] as Tensor] as const); // one input for each region
    using outputs = await session.run(Object.fromEntries([...given, ...sizes]));
    found.push(regions.map(({ output }) => copyTensor(outputs.get(output))));
  }
  return found;
}
