/**
 * Chooses the integers of weights so that the results of the layer change as little as possible, not each weight. Both
 * techniques minimise tr(Eᵀ H E), where E is the error of the weight [inputs, channels] and H the second moments of the
 * layer's inputs.
 */

import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema } from 'onnx-buf';
import { messageOf } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { GraphBuilder } from '../../onnx/builder.ts';
import { makeTensor, tensorBytes } from '../../onnx/tensor.ts';
import { DataType, type TensorProto } from '../../onnx/types.ts';
import { makeValueInfo } from '../../onnx/value-info.ts';
import { modelBytes } from '../../onnx/write.ts';
import { RuntimeError } from '../../runtime/error.ts';
import { Session } from '../../runtime/session.ts';
import { copyTensor, type Tensor, tensor } from '../../runtime/tensor.ts';
import { HIGHEST_OF_BITS, type WeightScheme } from '../scheme.ts';
import { type Additions, emitter, type RoundedWeight, weightDivisors } from '../weights.ts';

/** One weight to round. */
export interface RoundingTask {
  readonly weight: TensorProto;
  readonly scheme: WeightScheme;
  /** H [inputs, inputs] */
  readonly moments: Tensor;
}

/** W and S, both [inputs, channels], where S is the step of each weight. */
interface Steps {
  readonly weight: Tensor;
  readonly divisor: Tensor;
}

/** A technique. It holds the sessions of its graphs until it is disposed of. */
export interface Rounder extends AsyncDisposable {
  /** W [inputs, channels] → whole numbers of the same shape, as floats. */
  round(steps: Steps, task: RoundingTask): Promise<Tensor>;
}

/**
 * Rounds one weight.
 *
 * @throws RuntimeError that names the weight, if a graph of the technique does not run
 */
export async function roundWeight(task: RoundingTask, rounder: Rounder): Promise<RoundedWeight> {
  const { weight, scheme } = task;
  const { name } = weight;
  try {
    const { divisor, scale, multipliers } = await chooseScales(weight, scheme);
    const [inputs = 0, channels = 0] = weight.dims.map(Number);
    const whole = await rounder.round(
      { weight: tensor(tensorBytes(weight), [inputs, channels], DataType.FLOAT), divisor },
      task,
    );
    return {
      values: makeTensor(`${name}.rounded`, whole.shape, whole.data, whole.type),
      scale: makeTensor(`${name}.scale`, scale.shape, scale.data, scale.type),
      divisor: makeTensor(`${name}.divisor`, divisor.shape, divisor.data, divisor.type),
      multipliers:
        multipliers && makeTensor(`${name}.multipliers`, multipliers.shape, multipliers.data, multipliers.type),
    };
  } catch (error) {
    throw new RuntimeError(`The weight ${name} could not be rounded (${messageOf(error)}).`);
  }
}

/** The scales of a weight. */
export interface Scales {
  /** The number that one unit of each integer stands for, the shape of the weight. */
  readonly divisor: Tensor;
  /** float [channels] */
  readonly scale: Tensor;
  /** int8 [rows / block, channels]: the multiple of the scale that each block has; undefined if there are no blocks. */
  readonly multipliers: Tensor | undefined;
}

/** The scales that rounding to the nearest integer uses too. */
export async function chooseScales(weight: TensorProto, scheme: WeightScheme, axis = 1): Promise<Scales> {
  const added: Pick<Additions, 'nodes' | 'tensors'> = { nodes: [], tensors: [] };
  const emit = emitter(weight.name, added);
  const scale = `${weight.name}.chosen_scale`;
  const { divisor, multipliers } = weightDivisors(weight, axis, scheme, emit, scale);
  const full = emit('Expand', [divisor, weight.dims.map(Number)]);
  const builder = new GraphBuilder('scales').finish();
  const graph = create(GraphProtoSchema, {
    name: 'scales',
    node: added.nodes,
    initializer: [weight, ...added.tensors],
    output: [
      makeValueInfo(full, DataType.FLOAT, undefined),
      makeValueInfo(scale, DataType.FLOAT, undefined),
      ...(multipliers === undefined ? [] : [makeValueInfo(multipliers, DataType.INT8, undefined)]),
    ],
  });
  await using session = await Session.create(modelBytes(Object.assign(builder, { graph })));
  using outputs = await session.run({});
  return {
    divisor: copyTensor(outputs.get(full)),
    scale: copyTensor(outputs.get(scale)),
    multipliers: multipliers === undefined ? undefined : copyTensor(outputs.get(multipliers)),
  };
}

/** Rounds all `tasks`, one after the other. @returns the integers by the name of the weight */
export async function roundWeights(
  tasks: readonly RoundingTask[],
  rounder: Rounder,
  { onProgress, signal }: WorkOptions,
  label: string,
): Promise<Map<string, RoundedWeight>> {
  const result = new Map<string, RoundedWeight>();
  for (const [done, task] of tasks.entries()) {
    signal?.throwIfAborted();
    onProgress?.({ label, done, total: tasks.length });
    result.set(task.weight.name, await roundWeight(task, rounder));
  }
  onProgress?.({ label, done: tasks.length, total: tasks.length });
  return result;
}

/** The largest integer of a scheme. */
export const highestOf = ({ bits }: WeightScheme): number => HIGHEST_OF_BITS[bits];
