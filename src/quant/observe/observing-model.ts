/** A model whose results are the observations of its values. */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema } from 'onnx-buf';
import { append } from '../../base/append.ts';
import { copyModel } from '../../onnx/copy.ts';
import { DOMAIN, OBSERVE } from '../../onnx/dino8-operators.ts';
import { inferShapes } from '../../onnx/infer/infer.ts';
import type { Model } from '../../onnx/read.ts';
import { importDomain, makeNode, removeUnused, replaceUses, sortTopologically } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type GraphProto, type NodeProto, type Shape } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { observeFunction } from './observe-function.ts';
import type { ObservationRules } from './sample.ts';

/** The names of the results: see `observeFunction`. Each result has the observations of all values, one after the other. */
export const RESULTS = { counts: 'dino8.counts', summaries: 'dino8.summaries', channels: 'dino8.channels' } as const;

/** Infinities never count, so the limit on magnitudes is finite where a model has no masks. */
const LARGEST_FLOAT = 3.4028234663852886e38;

/**
 * A copy of `model` whose results are the observations of `values`, concatenated in their order (see `RESULTS`), in place of
 * its own results.
 */
export function observingModel(model: Model, values: readonly string[], rules: ObservationRules): Model {
  const observing = copyModel(model);
  const { graph } = observing;
  const infos = inferShapes(model);
  const isKnown = infos.has(rules.validRows?.value ?? '');
  observing.functions.push(observeFunction());
  importDomain(observing, DOMAIN);
  graph.initializer.push(
    makeTensor('dino8.limit', [], Float32Array.of(Math.min(rules.maskLimit, LARGEST_FLOAT))),
    makeTensor('dino8.valid', [1], Uint8Array.of(1), DataType.BOOL),
    makeTensor('dino8.column', [2], BigInt64Array.of(-1n, 1n)),
  );
  const results = values.map((name) => {
    const inner = (suffix: string) => `${name}.observed.${suffix}`;
    const shape = infos.get(name)?.shape;
    const valid =
      rules.validRows && isKnown && startsWith(shape, rules.validRows.dimensions)
        ? rules.validRows.value
        : 'dino8.valid';
    const outputs = ['counts', 'summary', 'channels', 'zero'].map(inner);
    const node = makeNode(OBSERVE, inner('Observe'), [name, valid, 'dino8.limit'], outputs);
    node.domain = DOMAIN;
    const added = [node];
    if (!hasChannels(shape)) {
      node.input[0] = inner('flat');
      added.unshift(makeNode('Reshape', inner('Reshape'), [name, 'dino8.column'], [inner('flat')]));
    }
    append(graph.node, observeBeforeUse(graph, name, added, inner));
    if (infos.has(name)) graph.valueInfo.push(makeValueInfo(inner('value'), DataType.FLOAT, shape));
    return { counts: inner('counts'), summaries: inner('summary'), channels: inner('channels') };
  });
  for (const key of ['counts', 'summaries', 'channels'] as const)
    graph.node.push(
      makeNode(
        'Concat',
        RESULTS[key],
        results.map((result) => result[key]),
        [RESULTS[key]],
        { axis: 0 },
      ),
    );
  const output = [
    makeValueInfo(RESULTS.counts, DataType.INT32, [undefined]),
    makeValueInfo(RESULTS.summaries, DataType.FLOAT, [undefined]),
    makeValueInfo(RESULTS.channels, DataType.FLOAT, [undefined]),
  ];
  observing.graph = Object.assign(create(GraphProtoSchema), graph, { output });
  sortTopologically(observing.graph);
  removeUnused(observing);
  return observing;
}

/**
 * Lets every other node take `name` through a Reshape that changes nothing but needs a result of its observation, and
 * returns the nodes to add. ONNX Runtime shares the memory of a Reshape's input and output, so this costs nothing.
 *
 * Without it, ONNX Runtime runs the model first and the observations last, and so keeps every observed value until the
 * end of the run: four times the memory of the model's own run.
 */
function observeBeforeUse(
  graph: GraphProto,
  name: string,
  observation: readonly NodeProto[],
  inner: (what: string) => string,
): NodeProto[] {
  replaceUses(graph, name, inner('value'));
  return [
    ...observation,
    makeNode('Shape', inner('Shape'), [name], [inner('shape')]),
    makeNode('Add', inner('Add'), [inner('shape'), inner('zero')], [inner('same_shape')]),
    makeNode('Reshape', inner('same/Reshape'), [name, inner('same_shape')], [inner('value')], { allowzero: 1 }),
  ];
}

const startsWith = (shape: Shape | undefined, dimensions: readonly string[]) =>
  shape !== undefined && dimensions.every((dimension, axis) => shape[axis] === dimension);

/** The last dimension is one of channels if its size is a property of the model. */
function hasChannels(shape: Shape | undefined): boolean {
  return (shape?.length ?? 0) >= 2 && typeof shape?.at(-1) === 'number';
}
