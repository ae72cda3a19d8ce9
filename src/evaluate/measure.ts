/** Latency and memory of a model, measured in the process that calls this: give it one of its own. */
import { peakMemory } from '../base/peak-memory.ts';
import type { WorkOptions } from '../base/progress.ts';
import { median } from '../base/statistics.ts';
import { readImage } from '../data/image.ts';
import { Detector } from '../detect/detector.ts';
import { readPackage } from '../models/package/package.ts';
import { kernelOptions } from '../runtime/kernels.ts';
import { type Feeds, Session } from '../runtime/session.ts';

export interface Measurement {
  /** Reading the model and preparing it to run. */
  readonly loadSeconds: number;
  /** The model alone, without decoding and preprocessing, once per image and prompt. */
  readonly runSeconds: readonly number[];
  readonly medianSeconds: number;
  /** The largest resident size of the process so far. */
  readonly peakMemoryBytes: number;
  readonly threads: number;
}

const WARM_UP = 3;

export interface MeasureOptions extends WorkOptions {
  readonly runs: number;
  readonly threads: number;
}

/** Loads a model and times `runs` runs on one image after a few to warm up. */
export async function measure(
  modelPath: string,
  imagePath: string,
  phrases: readonly string[] | string,
  options: MeasureOptions,
): Promise<Measurement> {
  const start = performance.now();
  await using detector = await Detector.create(await readPackage(modelPath), { threads: options.threads });
  const prompt = await detector.encodePrompt(phrases);
  const loadSeconds = (performance.now() - start) / 1000;
  const prepared = await detector.prepare(await readImage(imagePath));
  return { loadSeconds, ...(await timeRuns(() => detector.time(prepared, prompt), options)) };
}

/** Loads any model, as it is in the file, and times `runs` runs on the same inputs after a few to warm up. */
export async function measureFeeds(modelPath: string, feeds: Feeds, options: MeasureOptions): Promise<Measurement> {
  const start = performance.now();
  await using session = await Session.create(modelPath, { threads: options.threads, ...kernelOptions() });
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
