/**
 * The merging of patches of a Swin Transformer becomes one operator that dino8's library has a kernel for: four neighbours side by
 * side, and the normalization and linear layer that linear-blocks.ts has made one operator (patch-merging-function.ts).
 */
import { NORM_INTEGER_LINEAR, PATCH_MERGING } from '../../../onnx/dino8-operators.ts';
import { indexGraph } from '../../../onnx/graph-index.ts';
import { inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { copyNode, removeUnused } from '../../../onnx/rewrite.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { isOfDino8 } from './attention-patterns.ts';
import { patchMergingFunction } from './patch-merging-function.ts';
import { movesBefore, movesPatches, type Patches } from './patch-regions.ts';
import { type MapShape, shapesToTry } from './window-regions.ts';

/** Rewrites the model in place. Returns the number of operators that were made. */
export async function fusePatchMerging(model: Model): Promise<number> {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const made = new Map<NodeProto, NodeProto>();
  for (const layer of graph.node.filter((node) => isOfDino8(node, NORM_INTEGER_LINEAR))) {
    const [joined = '', ...constants] = layer.input;
    const region = movesBefore(joined, index, infos);
    const shape = infos.get(region?.input ?? '')?.shape ?? [];
    const channels = shape[3];
    if (!region || typeof channels !== 'number' || infos.get(joined)?.shape?.at(-1) !== 4 * channels) continue;
    const shapes = shapesToTry(shape, [
      [1, 4, 6, channels],
      [2, 5, 3, channels],
    ]);
    if (!(await movesPatches(model, region, shapes, neighboursOf))) continue;
    const node = copyNode(layer, { input: [region.input, ...constants] });
    node.opType = PATCH_MERGING;
    made.set(layer, node);
  }
  if (made.size === 0) return 0;
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  model.functions.push(patchMergingFunction());
  removeUnused(model);
  return made.size;
}

/** Where the numbers of the four neighbours of each position of the result come from, in the order of patch-merging-function.ts. */
function neighboursOf([batch, height, width, channels]: MapShape): Patches {
  const [rows, columns] = [Math.ceil(height / 2), Math.ceil(width / 2)];
  const places = new Int32Array(batch * rows * columns * 4 * channels);
  let at = 0;
  for (let image = 0; image < batch; image++)
    for (let position = 0; position < rows * columns; position++)
      for (const [across, down] of [
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ] as const) {
        const [row, column] = [2 * Math.floor(position / columns) + down, 2 * (position % columns) + across];
        const isInside = row < height && column < width;
        for (let channel = 0; channel < channels; channel++)
          places[at++] = isInside ? ((image * height + row) * width + column) * channels + channel : -1;
      }
  return { shape: [batch, rows, columns, 4 * channels], places };
}
