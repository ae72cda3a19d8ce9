/**
 * A float model and its quantized form as one model on the same inputs, so that they can be compared value by value. The
 * selections of the float model by TopK are used for the quantized one too: otherwise two queries that change places would
 * make all later values incomparable.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, TensorProtoSchema } from 'onnx-buf';
import { append } from '../base/append.ts';
import { copyModel } from '../onnx/copy.ts';
import { indexGraph } from '../onnx/graph-index.ts';
import { raiseOpset } from '../onnx/import/raise-opset.ts';
import { standardVersion } from '../onnx/opset.ts';
import type { Model } from '../onnx/read.ts';
import { makeNode, removeUnused, replaceUses } from '../onnx/rewrite.ts';
import { DataType } from '../onnx/types.ts';
import { makeValueInfo, valueInfoToTensorInfo } from '../onnx/value-info.ts';
import { biasOf } from './bias.ts';
import { findQuantizable } from './operators/operators.ts';

const PREFIX = 'quantized/';

/** The result [2 · values]: for each value Σ x² of the float model, then Σ (x − x̂)². */
export const SQUARED_SUMS = 'dino8.squared_sums';

/** The name of a result of the quantized model in the joint model. */
export const quantizedName = (output: string): string => `${PREFIX}${output}`;

/**
 * Joins both models to one. Its results are those of both, and SQUARED_SUMS if there are values to compare.
 *
 * @param values the names of float values that both models have
 */
export function jointModel(model: Model, quantized: Model, values: readonly string[]): Model {
  const joint = copyModel(model);
  const other = copyModel(quantized);
  // Models of some targets are in an older version of the operators.
  if (standardVersion(joint) !== standardVersion(other))
    for (const each of [joint, other]) raiseOpset(each, 'the model');
  const shared = new Set(other.graph.input.map(({ name }) => name));
  const rename = (name: string) => (name === '' || shared.has(name) ? name : `${PREFIX}${name}`);
  for (const node of other.graph.node) {
    node.name = `${PREFIX}${node.name}`;
    node.input = node.input.map(rename);
    node.output = node.output.map(rename);
  }
  const tensors = other.graph.initializer.map(({ $typeName: _, ...tensor }) =>
    // A message that is made anew has the defaults of fields that are not set, such as the bytes of an empty tensor.
    create(TensorProtoSchema, { ...tensor, name: rename(tensor.name) }),
  );
  const { graph } = joint;
  for (const { opType, output } of graph.node)
    if (opType === 'TopK') for (const name of output) replaceUses(other.graph, rename(name), name);
  const squaredSums = values.flatMap((name) => {
    const inner = (suffix: string) => `${name}.compared.${suffix}`;
    graph.node.push(makeNode('ReduceSumSquare', inner('signal'), [name], [inner('signal')], { keepdims: 0 }));
    other.graph.node.push(
      makeNode('Sub', inner('Sub'), [name, rename(name)], [inner('error')]),
      makeNode('ReduceSumSquare', inner('noise'), [inner('error')], [inner('noise')], { keepdims: 0 }),
    );
    return [inner('signal'), inner('noise')];
  });
  append(graph.node, other.graph.node);
  append(graph.initializer, tensors);
  const output = graph.output.flatMap((info) => {
    const type = valueInfoToTensorInfo(info)?.type ?? DataType.FLOAT;
    return [makeValueInfo(info.name, type, undefined), makeValueInfo(rename(info.name), type, undefined)];
  });
  if (values.length > 0) {
    append(graph.node, stack(squaredSums));
    output.push(makeValueInfo(SQUARED_SUMS, DataType.FLOAT, undefined));
  }
  for (const body of other.functions)
    if (!joint.functions.some(({ domain, name }) => domain === body.domain && name === body.name))
      joint.functions.push(body);
  for (const used of other.opsetImport)
    if (!joint.opsetImport.some(({ domain }) => domain === used.domain)) joint.opsetImport.push(used);
  joint.graph = Object.assign(create(GraphProtoSchema), graph, { output });
  removeUnused(joint);
  return joint;
}

/** The nodes that concatenate scalars to the vector SQUARED_SUMS. */
function stack(scalars: readonly string[]) {
  const axes = makeNode('Constant', 'dino8.axes', [], ['dino8.axes'], { value_ints: [0] });
  const vectors = scalars.map((name) =>
    makeNode('Unsqueeze', `${name}.vector`, [name, 'dino8.axes'], [`${name}.vector`]),
  );
  return [
    axes,
    ...vectors,
    makeNode(
      'Concat',
      SQUARED_SUMS,
      scalars.map((name) => `${name}.vector`),
      [SQUARED_SUMS],
      { axis: 0 },
    ),
  ];
}

/** The result of a layer with a stored weight, its bias included. */
export interface LayerResult {
  /** The module path of the layer. */
  readonly path: string;
  /** The name of the value. */
  readonly value: string;
}

/** The results of layers that both models have, in the order in which they are computed. */
export function comparableValues(model: Model, quantized: Model): LayerResult[] {
  const index = indexGraph(model.graph);
  const made = new Set(quantized.graph.node.flatMap(({ output }) => output));
  return findQuantizable(model).flatMap(({ node, path, weight, form }) => {
    const value = biasOf(node, index)?.node.output[0] ?? node.output[0] ?? '';
    return weight && form !== 'lookup' && made.has(value) ? [{ path, value }] : [];
  });
}
