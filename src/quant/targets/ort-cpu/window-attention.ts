/**
 * Attention within windows of a map becomes one operator that dino8's library has a kernel for, from the normalization before
 * it to the residual sum behind it (window-attention-function.ts). Its arithmetic is recognized node by node
 * (window-block.ts). How tokens are moved and masked differs with the exporter, and with what is known of the map's size, so
 * that these nodes are run and compared (window-regions.ts). Where the recipe has the products of the attention in integers, or
 * the residual sum in 8 bits, the operator computes them so.
 */
import { append } from '../../../base/append.ts';
import { DOMAIN } from '../../../onnx/dino8-operators.ts';
import { indexGraph, isStandard } from '../../../onnx/graph-index.ts';
import { inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { importDomain, makeNode, modulePath, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import { makeTensor } from '../../../onnx/tensor.ts';
import type { NodeProto } from '../../../onnx/types.ts';
import { epsilonOf } from './epsilon.ts';
import { MapSizes } from './map-sizes.ts';
import { packWeight } from './packed-weight.ts';
import { type WindowParts, windowAttentionFunction, windowOperator } from './window-attention-function.ts';
import { type WindowBlock, WindowBlockFinder } from './window-block.ts';
import { shapesToTry, shiftOf } from './window-regions.ts';

/**
 * Rewrites the model in place. The weights are packed by nodes that the caller folds.
 *
 * @returns the number of operators that were made
 */
export async function fuseWindowAttention(model: Model): Promise<number> {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const finder = new WindowBlockFinder(index, infos);
  const sizes = new MapSizes(index);
  const made = new Map<NodeProto, NodeProto>();
  const functions = new Map<string, WindowParts>();
  for (const softmax of graph.node.filter((node) => isStandard(node, 'Softmax'))) {
    const block = finder.blockAround(softmax);
    if (!block) continue;
    const x = block.norm.input[0] ?? '';
    const regions = [block.partition, block.biasing, block.restoration];
    const hasMapSize = ({ input }: NodeProto) => {
      const value = input[0] ?? '';
      return sizes.isSame(value, x) && infos.get(value)?.shape?.at(-1) === block.channels;
    };
    if (!regions.every(({ shapes }) => shapes.every(hasMapSize))) continue;
    const { window, channels } = block;
    // A map with several windows along both sides, and one with two images that is lower than a window.
    const shapes = shapesToTry(infos.get(x)?.shape ?? [], [
      [1, 2 * window, 2 * window + 2, channels],
      [2, Math.max(window - 2, 1), window + 2, channels],
    ]);
    const shift = await shiftOf(model, block, shapes);
    if (shift === undefined) continue;
    sizes.assume(block.restoration.output, x);
    const parts = { hasIntegers: block.ranges !== undefined, isRounded: block.sum.rounding !== undefined };
    functions.set(windowOperator(parts), parts);
    made.set(block.sum.end, blockNode(model, block, shift, windowOperator(parts)));
  }
  if (made.size === 0) return 0;
  graph.node = graph.node.map((node) => made.get(node) ?? node);
  append(model.functions, [...functions.values()].map(windowAttentionFunction));
  importDomain(model, DOMAIN);
  sortTopologically(graph);
  removeUnused(model);
  return made.size;
}

function blockNode(model: Model, block: WindowBlock, shift: number, operator: string): NodeProto {
  const { norm, projections, output, sum, channels } = block;
  const name = `${modulePath(sum.end)}/${operator}`;
  const { graph } = model;
  const inner = (part: string) => `${name}.${part}`;
  const joined = (input: number, part: string, axis: number) => {
    const parts = projections.map(({ product }) => product.input[input] ?? '');
    if (parts.length === 1) return parts[0] ?? '';
    graph.node.push(makeNode('Concat', inner(`${part}.Concat`), parts, [inner(part)], { axis }));
    return inner(part);
  };
  const packed = (weight: string, dims: readonly [number, number], part: string) => {
    const { nodes, tensors } = packWeight(weight, dims, inner(part));
    append(graph.node, nodes);
    append(graph.initializer, tensors);
    return inner(part);
  };
  const layer = (product: NodeProto | undefined, weight: string, scale: string, bias: string) => [
    product?.input[2] ?? '',
    product?.input[4] ?? '',
    weight,
    scale,
    bias,
  ];
  graph.initializer.push(
    makeTensor(inner('query_scale'), [], Float32Array.of(block.queryScale)),
    makeTensor(inner('window'), [1], BigInt64Array.of(BigInt(block.window))),
    makeTensor(inner('shift'), [1], BigInt64Array.of(BigInt(shift))),
  );
  const weight = packed(joined(1, 'projections', 1), [channels, 3 * channels], 'projections.packed');
  const inputs = [
    ...norm.input,
    ...layer(projections[0]?.product, weight, joined(3, 'projections.scale', 0), joined(6, 'projections.bias', 0)),
    block.biasName,
    ...layer(
      output.product,
      packed(output.weight, [channels, channels], 'output.packed'),
      output.product.input[3] ?? '',
      output.product.input[6] ?? '',
    ),
    ...['query_scale', 'window', 'shift'].map(inner),
    ...[...(block.ranges ?? []), ...(sum.rounding ?? [])].flat(),
  ];
  const node = makeNode(operator, name, inputs, sum.end.output, { epsilon: epsilonOf(norm) });
  node.domain = DOMAIN;
  return node;
}
