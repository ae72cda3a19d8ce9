/**
 * Results that take the place of an input in memory. A block of a transformer adds its result to its input, which is mostly not
 * read later; written to the same place, it needs no second map, and the processor loads no other memory for it.
 *
 * The kernels of such operators allow ONNX Runtime to do that. It does where nothing reads the input later and the file declares the
 * same shape for both, with the same name for a dimension that differs from run to run. This declares the shapes.
 */
import * as operators from '../../../onnx/dino8-operators.ts';
import { indexGraph } from '../../../onnx/graph-index.ts';
import { inferShapes } from '../../../onnx/infer/infer.ts';
import { parseOperator } from '../../../onnx/parse-operator.ts';
import type { Model } from '../../../onnx/read.ts';
import { DataType, type NodeProto, type Shape } from '../../../onnx/types.ts';
import { makeValueInfo } from '../../../onnx/value-info.ts';
import { QUERIES } from './projected-attention-function.ts';
import { RESIDUAL } from './projection-function.ts';

/** The operators whose result may take the place of their first input, whose shape it has. */
const IN_PLACE_OF_FIRST = new Set<string>([
  operators.WINDOW_ATTENTION,
  operators.INTEGER_WINDOW_ATTENTION,
  operators.NORM_FEED_FORWARD_GELU_ADD,
  operators.NORM_FUSION_ATTENTION_ADD,
]);

/** Rewrites the model in place. Returns the number of results that may take the place of an input. */
export function declareOverwrittenInputs(model: Model): number {
  const { graph } = model;
  const { outputs, producer } = indexGraph(graph);
  const infos = inferShapes(model);
  const rows = rowsOfValues(graph.node);
  const shapes = new Map<string, Shape>();
  let count = 0;
  for (const node of graph.node) {
    const { operator, floats } = resultOf(node);
    const overwritten = overwrittenInput(operator, node, rows);
    if (overwritten === undefined || floats === '' || outputs.has(floats)) continue;
    if (!producer.has(overwritten) || outputs.has(overwritten)) continue;
    const [known, result] = [overwritten, floats].map((name) => infos.get(name)?.shape);
    // Where the batch of the text has a name of its own, one image may be read with several texts, which makes several of it.
    const isRepeated = known?.[0] === undefined || known[0] !== result?.[0];
    if (operator === operators.NORM_FUSION_ATTENTION_ADD && isRepeated) continue;
    const shape =
      shapes.get(overwritten) ?? known?.map((size, axis) => size ?? result?.[axis] ?? `${overwritten}.${axis}`);
    if (!shape) continue;
    shapes.set(overwritten, shape).set(floats, shape);
    count++;
  }
  graph.valueInfo = [
    ...graph.valueInfo.filter(({ name }) => !shapes.has(name)),
    ...Array.from(shapes, ([name, shape]) => makeValueInfo(name, DataType.FLOAT, shape)),
  ];
  return count;
}

/** The base of the name of dino8's operator, and the name of its result in floats; '' for other operators and results. */
function resultOf({ domain, opType, output }: NodeProto): { readonly operator: string; readonly floats: string } {
  if (domain !== operators.DOMAIN) return { operator: '', floats: '' };
  const { base, isQuantized } = parseOperator(opType);
  return { operator: base, floats: output[isQuantized ? 1 : 0] ?? '' };
}

/** The input whose place the result may take; undefined if there is none, or if its shape may be another one. */
function overwrittenInput(operator: string, { input }: NodeProto, rows: (name: string) => string): string | undefined {
  const [first = ''] = input;
  if (IN_PLACE_OF_FIRST.has(operator)) return first;
  const residual = input[RESIDUAL] ?? '';
  return operator === operators.PROJECTION_FEED_FORWARD && rows(first) === rows(residual) ? residual : undefined;
}

/** Returns what names the rows of a value: values have all dimensions but the last in common where it is the same name. */
function rowsOfValues(nodes: readonly NodeProto[]): (name: string) => string {
  const found = new Map<string, string>();
  const rows = (name: string) => found.get(name) ?? name;
  for (const node of nodes) {
    const { operator } = resultOf(node);
    const isAttention = operator === operators.PROJECTED_DEFORMABLE_ATTENTION;
    if (isAttention) for (const name of node.output) found.set(name, rows(node.input[QUERIES] ?? ''));
    if (operator !== operators.NORM_FUSION_ATTENTION_ADD) continue;
    const text = node.opType === operator ? 1 : 2;
    const ofImage = node.output.filter((name, at) => at !== text && name !== '');
    for (const name of ofImage) found.set(name, ofImage[0] ?? '');
  }
  return rows;
}
