/**
 * Calibration: the range of each value that will be quantized, seen over a stream of inputs. The graph itself reduces
 * every value to its minimum and maximum; what reaches TypeScript is two numbers a value and image, so memory does not
 * grow with the number of images.
 */
import { create } from '@bufbuild/protobuf';
import { GraphProtoSchema } from 'onnx-buf';
import { InputError } from '../base/errors.ts';
import type { WorkOptions } from '../base/progress.ts';
import { copyModel } from '../onnx/copy.ts';
import type { Model } from '../onnx/read.ts';
import { makeNode, removeUnused } from '../onnx/rewrite.ts';
import { makeTensor } from '../onnx/tensor.ts';
import { DataType } from '../onnx/types.ts';
import { makeValueInfo } from '../onnx/value-info.ts';
import { modelBytes } from '../onnx/write.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { floatData } from '../runtime/tensor.ts';
import type { Range } from './scheme.ts';

export type Ranges = ReadonlyMap<string, Range>;

const MINIMA = 'dino8.minima';
const MAXIMA = 'dino8.maxima';

export interface CalibrationOptions extends WorkOptions {
  /** How many inputs there are, for the progress. */
  readonly total: number;
  readonly threads?: number | undefined;
}

/**
 * Observes `values` of `model` over all `inputs`.
 * @throws InputError if there were no inputs, or a value was never finite: it is named
 */
export async function calibrate(
  model: Model,
  values: readonly string[],
  inputs: AsyncIterable<Feeds>,
  options: CalibrationOptions,
): Promise<Ranges> {
  if (values.length === 0) return new Map();
  const settings = { threads: options.threads, ...kernelOptions() };
  await using session = await Session.create(
    modelBytes(observingModel(model, values)),
    settings,
    'the observing model',
  );
  const minima = values.map(() => Number.POSITIVE_INFINITY);
  const maxima = values.map(() => Number.NEGATIVE_INFINITY);
  let done = 0;
  for await (const feeds of inputs) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ label: 'Calibrating', done, total: options.total });
    using outputs = await session.run(feeds);
    const [lowest, highest] = [floatData(outputs.get(MINIMA)), floatData(outputs.get(MAXIMA))];
    for (const index of values.keys()) {
      minima[index] = Math.min(minima[index] ?? 0, finite(lowest[index], Number.POSITIVE_INFINITY));
      maxima[index] = Math.max(maxima[index] ?? 0, finite(highest[index], Number.NEGATIVE_INFINITY));
    }
    done++;
  }
  options.onProgress?.({ label: 'Calibrating', done, total: options.total });
  if (done === 0) throw new InputError('There was nothing to calibrate on; give at least one image.');
  return new Map(values.map((name, index) => [name, checkRange(name, minima[index], maxima[index])]));
}

function finite(value: number | undefined, otherwise: number): number {
  return value !== undefined && Number.isFinite(value) ? value : otherwise;
}

function checkRange(name: string, min = Number.NaN, max = Number.NaN): Range {
  if (!(min <= max)) throw new InputError(`The value ${name} was never finite during calibration; are its weights?`);
  return { min, max };
}

/** A model that gives out the minimum and maximum of each value instead of its results, two vectors in all. */
function observingModel(model: Model, values: readonly string[]): Model {
  const observing = copyModel(model);
  const { graph } = observing;
  const one = 'dino8.one';
  graph.initializer.push(makeTensor(one, [1], BigInt64Array.of(1n)));
  for (const [operator, result] of [
    ['ReduceMin', MINIMA],
    ['ReduceMax', MAXIMA],
  ] as const) {
    const each = values.map((name) => `${name}.${operator}`);
    for (const [index, name] of values.entries()) {
      const scalar = `${each[index]}.scalar`;
      graph.node.push(
        makeNode(operator, `${name}/${operator}`, [name], [scalar], { keepdims: 0 }),
        makeNode('Reshape', `${name}/${operator}Reshape`, [scalar, one], [each[index] ?? '']),
      );
    }
    graph.node.push(makeNode('Concat', result, each, [result], { axis: 0 }));
  }
  const output = [MINIMA, MAXIMA].map((name) => makeValueInfo(name, DataType.FLOAT, [values.length]));
  observing.graph = Object.assign(create(GraphProtoSchema), graph, { output });
  removeUnused(observing);
  return observing;
}
