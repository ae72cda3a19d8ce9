/**
 * Calibration: a statistic of each value, seen over a stream of inputs. The graph itself reduces every value; memory does
 * not grow with the number of images.
 */
import { InputError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import type { Model } from '../../onnx/read.ts';
import { modelBytes } from '../../onnx/write.ts';
import { kernelOptions } from '../../runtime/kernels.ts';
import { type Feeds, type Outputs, Session } from '../../runtime/session.ts';
import { floatData } from '../../runtime/tensor.ts';
import { COUNTERS } from './observe-function.ts';
import { observingModel, RESULTS } from './observing-model.ts';
import { addObservation, emptyStatistic, type Statistic } from './statistic.ts';

/** What is known of values, by their names. */
export type Statistics = ReadonlyMap<string, Statistic>;

/** Inputs of the model, and when and how they are seen. */
export interface Sample {
  /** Place in the order of the whole calibration, from 0. */
  readonly place: number;
  readonly tokens: number;
  readonly feeds: Feeds;
}

export interface CalibrationOptions extends WorkOptions {
  /** Samples of the whole calibration, over all shards. */
  readonly total: number;
  /** Samples that are expected here, and those done before, for the progress. */
  readonly expected?: number;
  readonly done?: number;
  /** What was seen before: it is added to. */
  readonly statistics?: Statistics;
  readonly threads?: number | undefined;
  /** Called after each sample with all that is known so far. */
  readonly onSample?: ((place: number, statistics: Statistics) => Promise<void>) | undefined;
}

/**
 * Observes `values` of `model` over all `samples`.
 * @throws InputError if there were no samples, or a value was never finite: it is named
 */
export async function calibrate(
  model: Model,
  values: readonly string[],
  samples: AsyncIterable<Sample>,
  options: CalibrationOptions,
): Promise<Statistics> {
  const statistics = new Map(values.map((name) => [name, options.statistics?.get(name) ?? emptyStatistic()]));
  if (values.length === 0) return statistics;
  const { expected = options.total, total } = options;
  // Between two runs images are decoded: threads of ONNX Runtime that wait by spinning would take their cores.
  const config = { 'session.intra_op.allow_spinning': '0' };
  const settings = { threads: options.threads, config, ...kernelOptions() };
  await using session = await Session.create(
    modelBytes(observingModel(model, values)),
    settings,
    'the observing model',
  );
  let done = options.done ?? 0;
  for await (const { place, tokens, feeds } of samples) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ label: 'Calibrating', done, total: expected });
    using outputs = await session.run(feeds);
    addOutputs(statistics, outputs, { place, total, tokens });
    done++;
    await options.onSample?.(place, statistics);
  }
  options.onProgress?.({ label: 'Calibrating', done: expected, total: expected });
  if (done === 0) throw new InputError('There was nothing to calibrate on; give at least one image.');
  for (const [name, { min, max }] of statistics)
    if (!(min <= max)) throw new InputError(`The value ${name} was never finite during calibration; are its weights?`);
  return statistics;
}

/** The summary of a value in the graph's results. */
const SUMMARY = 4;

function addOutputs(statistics: Statistics, outputs: Outputs, moment: Parameters<typeof addObservation>[2]): void {
  const counts = outputs.get(RESULTS.counts).data as Int32Array; // as the function declares
  const summaries = floatData(outputs.get(RESULTS.summaries));
  const channels = floatData(outputs.get(RESULTS.channels));
  let at = 0;
  for (const [index, statistic] of [...statistics.values()].entries()) {
    const [min = 0, max = 0, exponent = 0, width = 0] = summaries.subarray(index * SUMMARY);
    const ofValue = counts.subarray(index * COUNTERS, (index + 1) * COUNTERS);
    addObservation(
      statistic,
      { min, max, exponent, counts: ofValue, channels: channels.subarray(at, at + 3 * width) },
      moment,
    );
    at += 3 * width;
  }
}
