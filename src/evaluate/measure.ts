/** Measures the latency and the memory of a model in the calling process. */

import {
  abortSignal,
  callback,
  checkOptions,
  checkPath,
  type OptionSchemas,
  oneOf,
  optional,
  text,
  truth,
  wholeNumber,
} from '../base/check-options.ts';
import { peakMemory } from '../base/peak-memory.ts';
import type { WorkOptions } from '../base/progress.ts';
import { median } from '../base/statistics.ts';
import { readImage } from '../data/image.ts';
import type { Phrases } from '../data/phrases.ts';
import { Detector } from '../detect/detector.ts';
import { type ModelPackage, type ReadOptions, readPackage } from '../models/package/package.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { PROVIDER_NAMES, type ProviderName } from '../runtime/options.ts';
import { type Feeds, Session } from '../runtime/session.ts';
import { MOST_THREADS } from '../runtime/threads.ts';

/** The result of a measurement. */
export interface Measurement {
  /** The time to read the model and to prepare it to run. */
  readonly loadSeconds: number;
  /** The time of each run of the model alone, without decoding and preprocessing. */
  readonly runSeconds: readonly number[];
  /** The median of `runSeconds`. */
  readonly medianSeconds: number;
  /** The largest resident size of the process so far; it is that of the model if the process does nothing else. */
  readonly peakMemoryBytes: number;
  /** The number of threads of ONNX Runtime. */
  readonly threads: number;
}

/** The number of runs before the timed ones: the first runs allocate memory. */
const WARM_UP = 3;

/** Options of `measure` and `measureFeeds`. */
export interface MeasureOptions extends WorkOptions, ReadOptions {
  /** The number of timed runs. */
  readonly runs: number;
  /** The number of threads of ONNX Runtime. */
  readonly threads: number;
  /** Where the model runs; `cpu` by default. */
  readonly device?: ProviderName | undefined;
}

const sessionOptions = ({ threads, device }: MeasureOptions) => ({ threads, ...(device && { providers: [device] }) });

const measureSchemas: OptionSchemas<MeasureOptions> = {
  onProgress: optional(callback),
  signal: optional(abortSignal),
  onNotice: optional(callback),
  ema: optional(truth),
  tokenizer: optional(text),
  runs: wholeNumber(1),
  threads: wholeNumber(1, MOST_THREADS),
  device: optional(oneOf(PROVIDER_NAMES)),
};

/**
 * Loads a detector and times its runs on one image and prompt. Memory is that of the whole process, so that each measurement
 * needs a process of its own.
 * @param modelPath the path of an ONNX file, a folder or a checkpoint
 * @param imagePath the path of a picture
 * @param phrases a list, or one text with phrases separated by commas or periods
 * @returns times in seconds, and the peak memory in bytes
 * @throws UsageError or InputError if the model or the image cannot be read
 * @example
 * const { medianSeconds } = await measure('detector.onnx', 'photo.jpg', ['person'], { runs: 20, threads: 4 });
 */
export async function measure(
  modelPath: string,
  imagePath: string,
  phrases: Phrases,
  options: MeasureOptions,
): Promise<Measurement> {
  checkPath(modelPath);
  checkPath(imagePath);
  checkOptions('measure', measureSchemas, options);
  return (await measureDetector(modelPath, imagePath, phrases, options)).measurement;
}

/** Does what `measure` does, and returns the model too. */
export async function measureDetector(
  modelPath: string,
  imagePath: string,
  phrases: Phrases,
  options: MeasureOptions,
): Promise<{ readonly measurement: Measurement; readonly source: ModelPackage }> {
  const start = performance.now();
  const source = await readPackage(modelPath, {
    ema: options.ema,
    tokenizer: options.tokenizer,
    signal: options.signal,
  });
  for (const sentence of source.notices ?? []) options.onNotice?.(sentence);
  await using detector = await Detector.create(source, sessionOptions(options));
  const prompt = await detector.encodePrompt(phrases);
  const loadSeconds = (performance.now() - start) / 1000;
  const prepared = await detector.prepare(await readImage(imagePath));
  return { measurement: { loadSeconds, ...(await timeRuns(() => detector.time(prepared, prompt), options)) }, source };
}

/**
 * Loads any model as it is in its file, and times its runs on the given inputs.
 * @throws UsageError or InputError if the model cannot be read, and RuntimeError if it does not run
 */
export async function measureFeeds(modelPath: string, feeds: Feeds, options: MeasureOptions): Promise<Measurement> {
  const start = performance.now();
  await using session = await Session.create(modelPath, { ...sessionOptions(options), ...kernelOptions() });
  const loadSeconds = (performance.now() - start) / 1000;
  const time = async () => {
    const before = performance.now();
    (await session.run(feeds)).dispose();
    return (performance.now() - before) / 1000;
  };
  return { loadSeconds, ...(await timeRuns(time, options)) };
}

async function timeRuns(
  time: () => Promise<number>,
  options: MeasureOptions,
): Promise<Omit<Measurement, 'loadSeconds'>> {
  for (let run = 0; run < WARM_UP; run++) await time();
  const runSeconds: number[] = [];
  for (let run = 0; run < options.runs; run++) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ label: 'Measuring', done: run, total: options.runs });
    runSeconds.push(await time());
  }
  options.onProgress?.({ label: 'Measuring', done: options.runs, total: options.runs });
  return {
    runSeconds,
    medianSeconds: median(runSeconds),
    peakMemoryBytes: peakMemory(),
    threads: options.threads,
  };
}
