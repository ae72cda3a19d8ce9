/**
 * Clips the results of layers, such as sampling offsets: a few far values would widen the range so much that all others
 * share a few steps.
 */
import type { Model } from '../onnx/read.ts';
import { makeNode, replaceUses, sortTopologically } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import type { PlannedClip } from './plan-entry.ts';

/** Puts a Clip behind each of the values; their limits must be resolved. */
export function clipResults({ graph }: Model, clips: readonly PlannedClip[]): void {
  for (const { value, limit = Number.POSITIVE_INFINITY } of clips) {
    const inner = (suffix: string) => `${value}.clip.${suffix}`;
    graph.initializer.push(
      makeTensor(inner('low'), [], Float32Array.of(-limit)),
      makeTensor(inner('high'), [], Float32Array.of(limit)),
    );
    const node = makeNode('Clip', inner('Clip'), [value, inner('low'), inner('high')], [inner('result')]);
    replaceUses(graph, value, inner('result'));
    graph.node.push(node);
  }
  if (clips.length > 0) sortTopologically(graph);
}
