/** A model that gives out what calibration sees of each value, instead of its results. */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema, OperatorSetIdProtoSchema } from 'onnx-buf';
import { copyModel } from '../../onnx/copy.ts';
import { DOMAIN, OBSERVE } from '../../onnx/dino8-operators.ts';
import { inferShapes } from '../../onnx/infer/infer.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode, removeUnused, sortTopologically } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType, type Shape } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { observeFunction } from './observe-function.ts';
import type { ObservationRules } from './sample.ts';

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
  if (!observing.opsetImport.some(({ domain }) => domain === DOMAIN))
    observing.opsetImport.push(create(OperatorSetIdProtoSchema, { domain: DOMAIN, version: 1n }));
  graph.initializer.push(
    makeTensor('dino8.limit', [], Float32Array.of(Math.min(rules.maskLimit, LARGEST_FLOAT))),
    makeTensor('dino8.valid', [1], Uint8Array.of(1), DataType.BOOL),
    makeTensor('dino8.column', [2], BigInt64Array.of(-1n, 1n)),
  );
  const results = values.map((name) => {
    const inner = (what: string) => `${name}.observed.${what}`;
    const shape = infos.get(name)?.shape;
    const valid =
      rules.validRows && isKnown && startsWith(shape, rules.validRows.dimensions)
        ? rules.validRows.value
        : 'dino8.valid';
    let observed = name;
    if (!hasChannels(shape)) {
      observed = inner('flat');
      graph.node.push(makeNode('Reshape', inner('Reshape'), [name, 'dino8.column'], [observed]));
    }
    const outputs = ['counts', 'summary', 'channels'].map(inner);
    const node = makeNode(OBSERVE, inner('Observe'), [observed, valid, 'dino8.limit'], outputs);
    node.domain = DOMAIN;
    graph.node.push(node);
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
  removeUnused(observing);
  sortTopologically(observing.graph);
  return observing;
}

const startsWith = (shape: Shape | undefined, dimensions: readonly string[]) =>
  shape !== undefined && dimensions.every((dimension, axis) => shape[axis] === dimension);

/** The last axis is one of channels if its length is a property of the model. */
function hasChannels(shape: Shape | undefined): boolean {
  return (shape?.length ?? 0) >= 2 && typeof shape?.at(-1) === 'number';
}
