/**
 * The embedding of an image's patches becomes one operator that dino8's library has a kernel for: the numbers of a patch side by
 * side, a linear layer in integers and a layer normalization (patch-embedding-function.ts).
 */
import { DOMAIN, INTEGER_LINEAR, PATCH_EMBEDDING } from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, onlyProducer } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { isOfDino8 } from './attention-patterns.ts';
import { epsilonOf } from './epsilon.ts';
import { isNormOfRows } from './linear-blocks.ts';
import { patchEmbeddingFunction } from './patch-embedding-function.ts';
import { movesBefore, movesPatches, type Patches } from './patch-regions.ts';
import { type MapShape, type Region, shapesToTry } from './window-regions.ts';

/** Rewrites the model in place. Returns the number of operators that were made. */
export async function fusePatchEmbedding(model: Model): Promise<number> {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const made = new Map<NodeProto, NodeProto>();
  for (const norm of graph.node) {
    const found = embeddingBefore(norm, index, infos);
    if (!found) continue;
    const { layer, region, patch, colours } = found;
    const shapes = shapesToTry(infos.get(region.input)?.shape ?? [], [
      [1, colours, 2 * patch, 3 * patch],
      [2, colours, 2 * patch + 1, 2 * patch - 1],
    ]);
    if (!(await movesPatches(model, region, shapes, (shape) => patchesOf(shape, patch)))) continue;
    const size = `${norm.output[0]}.patch`;
    graph.initializer.push(makeTensor(size, [1], BigInt64Array.of(BigInt(patch))));
    const inputs = [region.input, ...layer.input.slice(1), ...norm.input.slice(1), size];
    const node = makeNode(PATCH_EMBEDDING, layer.name, inputs, norm.output, { epsilon: epsilonOf(norm) });
    node.domain = DOMAIN;
    made.set(norm, node);
  }
  if (made.size === 0) return 0;
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  model.functions.push(patchEmbeddingFunction());
  removeUnused(model);
  return made.size;
}

interface Embedding {
  readonly layer: NodeProto;
  /** From the image to the bytes of patches. */
  readonly region: Region;
  readonly patch: number;
  readonly colours: number;
}

/** The linear layer of square patches that a normalization alone reads; undefined if there is none. */
function embeddingBefore(norm: NodeProto, index: GraphIndex, infos: Infos): Embedding | undefined {
  if (!isNormOfRows(norm, norm.output[0] ?? '', index, infos)) return undefined;
  const layer = onlyProducer(norm.input[0], index);
  if (!isOfDino8(layer, INTEGER_LINEAR)) return undefined;
  const [bytes = '', scale = '', zeroPoint = '', weight = ''] = layer.input;
  const region = movesBefore(bytes, index, infos, [scale, zeroPoint]);
  const colours = infos.get(region?.input ?? '')?.shape?.[1];
  const steps = index.initializer.get(weight)?.dims[1];
  if (!region || typeof colours !== 'number' || steps === undefined) return undefined;
  const patch = Math.sqrt((4 * Number(steps)) / colours);
  return Number.isInteger(patch) && patch > 0 ? { layer, region, patch, colours } : undefined;
}

/** Where the numbers of each patch come from, in the order of patch-embedding-function.ts. */
function patchesOf([batch, colours, height, width]: MapShape, patch: number): Patches {
  const [rows, columns] = [Math.ceil(height / patch), Math.ceil(width / patch)];
  const depth = colours * patch * patch;
  const places = new Int32Array(batch * rows * columns * depth);
  for (let at = 0; at < places.length; at++) {
    const position = Math.floor(at / depth);
    const colour = Math.floor((at % depth) / patch ** 2);
    const row = (Math.floor(position / columns) % rows) * patch + (Math.floor(at / patch) % patch);
    const column = (position % columns) * patch + (at % patch);
    const image = Math.floor(position / (rows * columns));
    const isInside = row < height && column < width;
    places[at] = isInside ? ((image * colours + colour) * height + row) * width + column : -1;
  }
  return { shape: [batch, rows, columns, depth], places };
}
