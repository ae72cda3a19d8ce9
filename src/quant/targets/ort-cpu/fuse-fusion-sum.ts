/**
 * The attention between an image and a text within its layer (fuse-fusion-norm.ts) also writes the bytes of the sum of the image
 * and another value, such as the embedding of positions, so that no other pass goes over the image's floats. Where the rows of that
 * value are put together from those of a table, such as one row for each line of the image and one for each column, the attention
 * reads the table, so that the value is never in memory.
 */
import { clone } from '@bufbuild/protobuf';
import { FunctionProtoSchema } from 'onnx-buf';
import {
  ADD,
  AND_GATHERED_SUM,
  AND_SUM,
  DOMAIN,
  NORM_FUSION_ATTENTION_ADD,
  QUANTIZED,
} from '../../../onnx/dino8-operators.ts';
import { type GraphIndex, indexGraph, isReadOnce, isStandard, usedBy } from '../../../onnx/graph-index.ts';
import { type Infos, inferShapes } from '../../../onnx/infer/infer.ts';
import type { Model } from '../../../onnx/read.ts';
import { makeNode, removeUnused, sortTopologically } from '../../../onnx/rewrite.ts';
import type { FunctionProto, NodeProto } from '../../../onnx/types.ts';
import { isOfDino8, takenRows } from './attention-patterns.ts';

const ATTENTION = NORM_FUSION_ATTENTION_ADD + QUANTIZED;

/** Rewrites the model in place. Returns the number of operators that write the bytes of a sum too now. */
export function fuseFusionSums(model: Model): number {
  const { graph } = model;
  const index = indexGraph(graph);
  const infos = inferShapes(model);
  const sums = new Set<NodeProto>();
  const used = new Set<string>();
  for (const attention of graph.node) {
    const found = isOfDino8(attention, ATTENTION) ? sumBehind(attention, index, infos) : undefined;
    if (!found) continue;
    const { sum, addend } = found;
    const gathered = gatheredRows(addend, attention, index, infos);
    attention.opType += gathered ? AND_GATHERED_SUM : AND_SUM;
    const range = sum.input.slice(2);
    attention.input.push(...(gathered ? [gathered.table, ...range, gathered.places] : [addend, ...range]));
    used.add(attention.opType);
    attention.output.push(sum.output[0] ?? '');
    if (isReadOnce(attention.output[1] ?? '', index)) attention.output[1] = '';
    sums.add(sum);
  }
  const base = model.functions.find(({ domain, name }) => domain === DOMAIN && name === ATTENTION);
  if (sums.size === 0 || !base) return 0;
  graph.node = graph.node.filter((node) => !sums.has(node));
  for (const name of used) model.functions.push(functionWithSum(base, name));
  sortTopologically(graph);
  removeUnused(model);
  return sums.size;
}

/** The sum of the image and a value of the same shape whose bytes alone are read; undefined if there is none. */
function sumBehind(
  attention: NodeProto,
  index: GraphIndex,
  infos: Infos,
): { readonly sum: NodeProto; readonly addend: string } | undefined {
  const [, image = ''] = attention.output;
  const [, ...sizes] = infos.get(image)?.shape ?? [];
  for (const sum of (image && index.consumers.get(image)) || []) {
    const [, floats = ''] = sum.output;
    const addend = sum.input.slice(0, 2).find((name) => name !== image);
    if (!isOfDino8(sum, ADD + QUANTIZED) || floats !== '' || addend === undefined) continue;
    const [, ...others] = infos.get(addend)?.shape ?? [];
    const isSameShape = sizes.length === 2 && others.length === 2 && sizes.every((size, axis) => size === others[axis]);
    if (isSameShape && !dependsOn(addend, attention, index)) return { sum, addend };
  }
  return undefined;
}

/**
 * The table [batch, rows, size] and the places [batch, positions · width / size, 1] in it that the rows of an addend are gathered
 * from, one batch for each image; undefined if the addend is made otherwise.
 */
function gatheredRows(
  addend: string,
  attention: NodeProto,
  { producer }: GraphIndex,
  infos: Infos,
): { readonly table: string; readonly places: string } | undefined {
  const reshape = producer.get(addend);
  const rows = isStandard(reshape, 'Reshape') ? takenRows(producer.get(reshape.input[0] ?? ''), infos) : undefined;
  if (!rows) return undefined;
  const { data: table, indices: places } = rows;
  const [batch, , width] = infos.get(attention.output[1] ?? '')?.shape ?? [];
  const isOfImages =
    batch !== undefined && [table, places, addend].every((name) => infos.get(name)?.shape?.[0] === batch);
  const size = infos.get(table)?.shape?.[2];
  const isWhole = typeof size === 'number' && typeof width === 'number' && width % size === 0;
  return isOfImages && isWhole ? { table, places } : undefined;
}

/** True if a value is computed from results of a node. */
function dependsOn(name: string, node: NodeProto, { producer }: GraphIndex): boolean {
  const seen = new Set([name]);
  for (const each of seen) {
    const from = producer.get(each);
    if (from === node) return true;
    if (from) for (const input of usedBy(from)) seen.add(input);
  }
  return false;
}

/**
 * The function `name` of the attention whose results are bytes and floats of the image, and the text's. Further inputs: `addend`
 * float [batch or 1, positions, width], and scale and zero point (uint8) of the sum. If the sum is gathered, `addend` is a table
 * [batch, rows, size], and the last input is `places` int64 [batch, positions · width / size, 1]: a position's numbers are those of
 * the table's rows at its places, one after the other. The last output is the sum as bytes.
 */
function functionWithSum(base: FunctionProto, name: string): FunctionProto {
  const body = clone(FunctionProtoSchema, base);
  body.name = name;
  const [addend, scale, zeroPoint, sum, bytes] = ['addend', 'sum_scale', 'sum_zero_point', 'sum', 'sum_bytes'];
  const [places, rows, shape, gathered] = ['places', 'rows', 'sum_shape', 'gathered'];
  const [image = ''] = body.output.slice(1);
  const isGathered = name.endsWith(AND_GATHERED_SUM);
  if (isGathered)
    body.node.push(
      makeNode('GatherND', `${name}/GatherND`, [addend, places], [rows], { batch_dims: 1 }),
      makeNode('Shape', `${name}/Shape`, [image], [shape]),
      makeNode('Reshape', `${name}/Reshape`, [rows, shape], [gathered]),
    );
  body.node.push(
    makeNode('Add', `${name}/Add`, [image, isGathered ? gathered : addend], [sum]),
    makeNode('QuantizeLinear', `${name}/QuantizeLinear_1`, [sum, scale, zeroPoint], [bytes]),
  );
  body.input.push(addend, scale, zeroPoint, ...(isGathered ? [places] : []));
  body.output.push(bytes);
  return body;
}
