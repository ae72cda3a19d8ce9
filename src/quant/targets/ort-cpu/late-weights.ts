/**
 * The order in which ONNX Runtime makes floats of stored integers. It computes the inputs of a node from the last one in the
 * file to the first one. So weights that become floats come first in the file: each is computed right before the node that
 * reads it, after everything else, and its floats are in memory for no longer. Elsewhere they would be computed before the first
 * layer, and those of all layers would be in memory during the run.
 */
import type { Model } from '../../../onnx/read.ts';
import type { NodeProto } from '../../../onnx/types.ts';

/** Moves all nodes that depend on nothing but stored tensors to the front of the graph. */
export function computeWeightsLate({ graph }: Model): void {
  const stored = new Set(graph.initializer.map(({ name }) => name));
  const ofWeights: NodeProto[] = [];
  const others: NodeProto[] = [];
  for (const node of graph.node) {
    const isOfWeights = node.input.length > 0 && node.input.every((name) => name === '' || stored.has(name));
    (isOfWeights ? ofWeights : others).push(node);
    if (isOfWeights) for (const name of node.output) stored.add(name);
  }
  graph.node = [...ofWeights, ...others];
}
