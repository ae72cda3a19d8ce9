/** Weights of 4 bits, which stay packed in the file of a model, as 8 bits for a runtime that has no type of 4 bits. */
import { append } from '../../base/append.ts';
import type { Model } from '../../onnx/read.ts';
import { removeUnused } from '../../onnx/rewrite.ts';
import { DataType } from '../../onnx/types.ts';
import { computeConstants } from '../../runtime/fold-constants.ts';

/**
 * Replaces the conversions of constants of 4 bits by their results.
 * @param model is changed
 */
export async function unpackWeights(model: Model): Promise<void> {
  const { graph } = model;
  const stored = new Map(graph.initializer.map((initializer) => [initializer.name, initializer]));
  const isPacked = (name: string) => {
    const type = stored.get(name)?.dataType;
    return type === DataType.INT4 || type === DataType.UINT4;
  };
  const casts = graph.node.filter(({ opType, input }) => opType === 'Cast' && isPacked(input[0] ?? ''));
  if (casts.length === 0) return;
  const results = casts.flatMap(({ output }) => output);
  const gone = new Set(casts);
  graph.node = graph.node.filter((node) => !gone.has(node));
  append(graph.initializer, await computeConstants(model, casts, results, stored));
  removeUnused(model);
}
