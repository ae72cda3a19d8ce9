/** The tensors of a checkpoint, as they follow from its configuration alone. */
import { GraphBuilder } from '../../../onnx/builder.ts';
import type { Config } from '../config.ts';
import { combinedGraph } from '../grounding-dino.ts';
import { Network } from '../network.ts';
import { Weights } from '../weights.ts';

/** The shape of every tensor that a network with this configuration has, by its name. */
export function tensorShapes(config: Config): ReadonlyMap<string, readonly number[]> {
  const b = new GraphBuilder('shapes');
  const weights = new Weights(b, new Map());
  combinedGraph(new Network(b, weights), config);
  return weights.shapes;
}
