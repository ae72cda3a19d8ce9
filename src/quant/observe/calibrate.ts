/**
 * Calibration: a statistic of each value, seen over a stream of inputs. The graph itself reduces every value; memory does
 * not grow with the number of images.
 */

import { InputError } from '../../base/errors.ts';
import type { WorkOptions } from '../../base/progress.ts';
import { checkModelArgument } from '../../onnx/check-model.ts';
import type { Model } from '../../onnx/read.ts';
import { kernelOptions } from '../../runtime/kernels.ts';
import type { Outputs } from '../../runtime/outputs.ts';
import { Session } from '../../runtime/session.ts';
import { floatData } from '../../runtime/tensor.ts';
import type { ThreadOptions } from '../../runtime/threads.ts';
import { COUNTERS } from './observe-function.ts';
import { observingModel, RESULTS } from './observing-model.ts';
import { NO_RULES, type ObservationRules, type SampleSource } from './sample.ts';
import { addObservation, emptyStatistic, type Statistic } from './statistic.ts';

/** Statistics of values, by the names of the values. */
export type Statistics = ReadonlyMap<string, Statistic>;

export interface CalibrationOptions extends WorkOptions, ThreadOptions {
  /** The rules for numbers that are not data in this model; every finite number counts by default. */
  readonly rules?: ObservationRules | undefined;
  /** Returns whether this call observes the sample at a place, for a shard or to continue a calibration; all by default. */
  readonly accept?: ((place: number) => boolean) | undefined;
  /** The number of samples at which the progress ends; by default the total of the source. */
  readonly expected?: number | undefined;
  /** The number of samples at which the progress starts, because an earlier call observed them. */
  readonly done?: number | undefined;
  /** Statistics of an earlier call, to which this one adds. */
  readonly statistics?: Statistics | undefined;
  /** Called after each sample with the statistics so far. */
  readonly onSample?: ((place: number, statistics: Statistics) => Promise<void>) | undefined;
}

/**
 * Observes `values` of `model` over the samples of `source`.
 *
 * @returns a statistic for each of `values`
 * @throws InputError if there were no samples, or if a value was never finite: the message names it
 * @example
 * const statistics = await calibrate(model, plan.valuesToObserve, samples, { rules: source.family.observation });
 */
export async function calibrate(
  model: Model,
  values: readonly string[],
  source: SampleSource,
  options: CalibrationOptions = {},
): Promise<Statistics> {
  checkModelArgument(model);
  const statistics = new Map(values.map((name) => [name, options.statistics?.get(name) ?? emptyStatistic()]));
  if (values.length === 0) return statistics;
  const { total } = source;
  const { expected = total, rules = NO_RULES } = options;
  // Images are decoded between two runs; threads of ONNX Runtime that wait by spinning would take the cores from that.
  const config = { 'session.intra_op.allow_spinning': '0' };
  const settings = { threads: options.threads, config, ...kernelOptions({ training: true }) };
  await using session = await Session.create(observingModel(model, values, rules), settings, 'the observing model');
  let done = options.done ?? 0;
  for await (const { place, tokens, feeds } of source.samples(options.accept)) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ label: 'Calibrating', done, total: expected });
    using outputs = await session.run(feeds, { signal: options.signal });
    addOutputs(statistics, outputs, { place, total, tokens });
    done++;
    await options.onSample?.(place, statistics);
  }
  options.onProgress?.({ label: 'Calibrating', done: expected, total: expected });
  if (done === 0) throw new InputError('There was nothing to calibrate on; give at least one sample.');
  for (const [name, { min, max }] of statistics)
    if (!(min <= max))
      throw new InputError(
        `The value ${name} was never finite during calibration; check that the weights before it are finite.`,
      );
  return statistics;
}

/** The number of elements of one value's summary: see `observeFunction`. */
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
