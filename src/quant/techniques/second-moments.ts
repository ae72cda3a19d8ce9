/**
 * Second moments Σ xᵀx of the inputs of layers over all rows of all samples. They say how much an error of each weight
 * changes the results of a layer. The graph adds them up: a sum [channels, channels] is an input and a result of each run.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema } from 'onnx-buf';
import type { WorkOptions } from '../../base/progress.ts';
import { copyModel } from '../../onnx/copy.ts';
import type { Model } from '../../onnx/read.ts';
import { makeNode, removeUnused } from '../../onnx/rewrite.ts';
import { makeTensor } from '../../onnx/tensor.ts';
import { DataType } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { kernelOptions } from '../../runtime/kernels.ts';
import { Session } from '../../runtime/session.ts';
import { copyTensor, floats, type Tensor } from '../../runtime/tensor.ts';
import type { SampleSource } from '../observe/sample.ts';

/** The input of a layer, and its number of channels. */
export interface LayerInput {
  /** The name of the value. */
  readonly value: string;
  readonly channels: number;
}

/** The maximum size of the sums that are kept at a time, in bytes; more layers take more passes over the samples. */
const MAXIMUM_BYTES = 1 << 29;

const sumOf = (value: string) => `${value}.moments`;

/**
 * Sums xᵀx for each of `inputs`.
 *
 * @returns for each value a matrix [channels, channels], which is not divided by the number of rows: a factor changes nothing
 */
export async function secondMoments(
  model: Model,
  inputs: readonly LayerInput[],
  source: SampleSource,
  { onProgress, signal }: WorkOptions = {},
): Promise<Map<string, Tensor>> {
  const { total } = source;
  const result = new Map<string, Tensor>();
  const groups = group(inputs);
  for (const [pass, some] of groups.entries()) {
    let sums = Object.fromEntries(
      some.map(({ value, channels }) => [sumOf(value), floats(new Float32Array(channels ** 2), [channels, channels])]),
    );
    await using session = await Session.create(summingModel(model, some), kernelOptions());
    let done = 0;
    for await (const { feeds } of source.samples()) {
      signal?.throwIfAborted();
      onProgress?.({ label: 'Second moments', done: pass * total + done++, total: groups.length * total });
      const needed = Object.fromEntries(Object.entries(feeds).filter(([name]) => session.inputs.has(name)));
      using outputs = await session.run({ ...needed, ...sums });
      sums = Object.fromEntries(
        some.map(({ value }) => [sumOf(value), copyTensor(outputs.get(`${sumOf(value)}.next`))]),
      );
    }
    for (const { value } of some) result.set(value, sums[sumOf(value)] as Tensor); // one for each of the group
  }
  onProgress?.({ label: 'Second moments', done: groups.length * total, total: groups.length * total });
  return result;
}

function group(inputs: readonly LayerInput[]): LayerInput[][] {
  const groups: LayerInput[][] = [];
  let bytes = Number.POSITIVE_INFINITY;
  for (const input of inputs) {
    const own = input.channels ** 2 * Float32Array.BYTES_PER_ELEMENT;
    if (bytes + own > MAXIMUM_BYTES) {
      groups.push([]);
      bytes = 0;
    }
    groups.at(-1)?.push(input);
    bytes += own;
  }
  return groups;
}

function summingModel(model: Model, inputs: readonly LayerInput[]): Model {
  const summing = copyModel(model);
  const { graph } = summing;
  const output = inputs.map(({ value, channels }) => {
    const inner = (suffix: string) => `${sumOf(value)}.${suffix}`;
    graph.input.push(makeValueInfo(sumOf(value), DataType.FLOAT, [channels, channels]));
    graph.initializer.push(makeTensor(inner('rows'), [2], BigInt64Array.of(-1n, BigInt(channels))));
    graph.node.push(
      makeNode('Reshape', inner('Reshape'), [value, inner('rows')], [inner('x')]),
      makeNode('Transpose', inner('Transpose'), [inner('x')], [inner('xt')], { perm: [1, 0] }),
      makeNode('MatMul', inner('MatMul'), [inner('xt'), inner('x')], [inner('product')]),
      makeNode('Add', inner('Add'), [sumOf(value), inner('product')], [inner('next')]),
    );
    return makeValueInfo(inner('next'), DataType.FLOAT, [channels, channels]);
  });
  summing.graph = Object.assign(create(GraphProtoSchema), graph, { output });
  removeUnused(summing);
  const used = new Set(summing.graph.node.flatMap((node) => node.input));
  summing.graph.input = summing.graph.input.filter(({ name }) => used.has(name));
  return summing;
}
