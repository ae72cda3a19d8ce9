/** The step that times several models beside each other. */
import { loadavg } from 'node:os';
import { listOf, type OptionSchemas, optional, text, truth, wholeNumber } from '../base/check-options.ts';
import type { Defaults } from '../base/defaults.ts';
import { InputError, UsageError } from '../base/errors.ts';
import { exists, sizeOf } from '../base/files.ts';
import { type Spread, spreadOf } from '../base/statistics.ts';
import { type MachinePeak, measurePeak } from '../evaluate/machine-peak.ts';
import type { Measurement } from '../evaluate/measure.ts';
import { type ModelProfile, profileModel } from '../evaluate/model-profile.ts';
import { detectionOf } from '../models/family.ts';
import type { ModelIdentity } from '../models/package/model-identity.ts';
import { readPackage } from '../models/package/package.ts';
import { createTokenizer } from '../models/tokenizer.ts';
import { defaultThreads } from '../runtime/threads.ts';
import { measureInTurns } from './in-turns.ts';
import { MEASURE_DEFAULTS, type MeasureStepOptions, measureInChild, measureSchemas } from './measure-step.ts';
import { pictureFeeds } from './picture-feeds.ts';
import { originOf, type ResultOrigin } from './result-origin.ts';
import { runStep } from './run-step.ts';

/** Options of `bench`. */
export interface BenchOptions extends Omit<MeasureStepOptions, 'model'> {
  /** The paths of the models, the one that the others are compared with first. */
  readonly models: readonly string[];
  /** The number of processes of each model; 5 by default. */
  readonly rounds?: number | undefined;
  /** Also says where the time of each model goes, by module and by operator, beside the peak of this machine; not by default. */
  readonly profile?: boolean | undefined;
}

/** The defaults of `BenchOptions`. */
export const BENCH_DEFAULTS: Defaults<BenchOptions, 'rounds' | 'runs'> = { rounds: 5, runs: MEASURE_DEFAULTS.runs };

/** The figures of one model. */
export interface BenchedModel {
  /** The path of the model. */
  readonly model: string;
  /** The hashes by which it is told apart from others. */
  readonly identity?: ModelIdentity | undefined;
  /** The size of its file, or of its folder. */
  readonly bytes: number;
  /** The median time of a run in each round. */
  readonly seconds: Spread;
  /** The median time of a run in each round, in which all models took turns. */
  readonly roundSeconds: readonly number[];
  /** The time to load the model. */
  readonly loadSeconds: Spread;
  /** The largest resident size of its processes. */
  readonly peakMemoryBytes: number;
  /** Its time divided by that of the first model in the same round; undefined for the first model. */
  readonly ratio: Spread | undefined;
  /**
   * Whether all rounds agree that it is faster than the first model, or slower; false for a single round, and undefined for the
   * first model.
   */
  readonly isDistinct: boolean | undefined;
  /** Where its time goes; undefined without `profile`. */
  readonly profile?: ModelProfile | undefined;
}

/** The result of `bench`. */
export interface BenchResult {
  /** What was timed. */
  readonly origin: ResultOrigin;
  /** The models in the order in which they were given. */
  readonly models: readonly BenchedModel[];
  /** The number of processes of each model. */
  readonly rounds: number;
  /** The number of timed runs in each process. */
  readonly runs: number;
  /** The number of threads of ONNX Runtime. */
  readonly threads: number;
  /** The programs that wanted to run on this machine before the measurement, averaged over a minute. */
  readonly loadBefore: number;
  /** The multiply-adds that this machine does in a second with these threads; undefined without `profile`. */
  readonly peak?: MachinePeak | undefined;
}

/** A machine with a higher load than this does something else, too. */
const QUIET = 0.5;
const MOST_ROUNDS = 1000;

const { model: _, ...shared } = measureSchemas;
const schemas: OptionSchemas<BenchOptions> = {
  ...shared,
  models: listOf('a list of paths of models', text),
  rounds: optional(wholeNumber(1, MOST_ROUNDS)),
  profile: optional(truth),
};

/**
 * Times models on one picture, in turns and each time in a process of its own: what else the machine does then meets all of
 * them. Ratios are of measurements in the same round.
 *
 * @throws UsageError without models; InputError if one cannot be measured
 * @example
 * const { models } = await bench({ models: ['tiny.onnx', 'tiny.int8.onnx'], image: 'street.jpg', phrases: ['person'] });
 */
export async function bench(options: BenchOptions): Promise<BenchResult> {
  return runStep('bench', schemas, options, async () => {
    const {
      models,
      rounds = BENCH_DEFAULTS.rounds,
      runs = BENCH_DEFAULTS.runs,
      profile = false,
      onNotice,
      onProgress,
      ...others
    } = options;
    const { threads = defaultThreads(), signal } = options;
    if (profile && options.device !== undefined && options.device !== 'cpu')
      throw new UsageError(`\`profile\` is for the CPU, not for ${options.device}; leave one of them out.`);
    if (models.length === 0) throw new UsageError('`models` names no model; give at least one.');
    for (const path of [options.image, ...models])
      if (!(await exists(path))) throw new InputError(`${path} does not exist; check the path.`);
    const [loadBefore = 0] = loadavg();
    if (loadBefore > QUIET)
      onNotice?.(
        `other programs use this machine (a load of ${loadBefore.toFixed(1)} over the last minute); times are longer than they would be, and ratios less sure`,
      );
    const measureOne = (model: string) => measureInChild({ ...others, model, runs, threads });
    const measured = await measureInTurns(models, rounds, measureOne, { onProgress, signal });
    const sizes = await Promise.all(models.map((model) => sizeOf(model)));
    const figures = models.map((model, index) => ({
      ...summarize(model, sizes[index] ?? 0, measured[index] ?? [], index === 0 ? undefined : measured[0]),
      identity: measured[index]?.[0]?.identity,
    }));
    const origin = originOf('bench', { subject: models[0] ?? '' });
    const result = { origin, models: figures, rounds, runs, threads, loadBefore };
    if (!profile) return result;
    const peak = await measurePeak();
    const profiled: BenchedModel[] = [];
    for (const each of figures) profiled.push({ ...each, profile: await profileOf(each.model, options, peak) });
    return { ...result, models: profiled, peak };
  });
}

/** Profiles a model on the picture, with the first part of the prompt if the phrases need several. */
async function profileOf(model: string, options: BenchOptions, peak: MachinePeak): Promise<ModelProfile> {
  const { ema, tokenizer, signal } = options;
  signal?.throwIfAborted();
  const source = await readPackage(model, { ema, tokenizer, signal });
  const [chunk] = detectionOf(source).createPrompt(
    options.phrases,
    createTokenizer(source.tokenizer, source.source),
  ).chunks;
  const feeds = await pictureFeeds(source, options.image, chunk?.tokens ?? []);
  return profileModel(source, feeds, peak);
}

/** @param reference the measurements of the first model, in the same order; undefined for the first model itself */
export function summarize(
  model: string,
  bytes: number,
  measured: readonly Measurement[],
  reference: readonly Measurement[] | undefined,
): BenchedModel {
  const ratios = reference?.map(
    ({ medianSeconds }, round) => (measured[round]?.medianSeconds ?? Number.NaN) / medianSeconds,
  );
  const ratio = ratios && spreadOf(ratios);
  return {
    model,
    bytes,
    seconds: spreadOf(measured.map(({ medianSeconds }) => medianSeconds)),
    roundSeconds: measured.map(({ medianSeconds }) => medianSeconds),
    loadSeconds: spreadOf(measured.map(({ loadSeconds }) => loadSeconds)),
    peakMemoryBytes: Math.max(...measured.map(({ peakMemoryBytes }) => peakMemoryBytes)),
    ratio,
    isDistinct: ratio && measured.length > 1 && (ratio.highest < 1 || ratio.lowest > 1),
  };
}
